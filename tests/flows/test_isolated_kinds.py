"""Workers that no zygote forks, in real kernels: programs, and on a machine that shares nothing."""

import itertools
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.far_machine import can_unshare
from tests.isolated_kinds import CONFIGS, kernel_with, marked, wait_until_gone
from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

THREADED = """\
import sys, threading
if "flow_kernel.workers.zygote" in sys.orig_argv:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
BROKEN = """\
import sys
if "flow_kernel.workers.zygote" in sys.orig_argv:
    raise SystemExit(3)
"""


@pytest.fixture(scope="module", params=["spawn", "remote"])
def kernel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp(request.param)
    with kernel_with(folder, CONFIGS[request.param]) as kernel:
        kernel.name = request.param
        yield kernel


@promise("isolated.kinds")
def test_the_log_says_which_kind_ran_and_why(kernel: Kernel) -> None:
    names = {"spawn": "local-provisioner", "remote": "far"}
    ran = kernel.run("%%isolated --worker said\n1 + 1")

    assert ran.result == "2"
    assert ran.stderr == ""
    worker_id = kernel.logs.one("cell", msg_id=ran.msg_id)["worker"]
    begun = kernel.logs.wait("worker", worker_id=worker_id, state="idle")[0]
    assert begun["reason"] == f"configured: {names[kernel.name]}"
    assert begun["detail"]["kind"] == kernel.name


@promise("isolated.kinds", "isolated.variables")
def test_a_cell_reads_the_session_and_changes_nothing_of_it(kernel: Kernel) -> None:
    ok(kernel, "x = [1, 2]\ndef grown(): return [*x, 3]")
    assert ok(kernel, "%%isolated --worker reads\ny = grown(); x.append(3); y == x") == "True"
    assert ok(kernel, "x, 'y' in globals()") == "([1, 2], False)"
    assert ok(kernel, "%%isolated --worker reads\ny") == "[1, 2, 3]"


@promise("isolated.kinds", "isolated.variables")
def test_large_variables_travel_both_ways_and_share_what_they_shared(kernel: Kernel) -> None:
    ok(kernel, "import numpy; a = numpy.arange(10**6); part = a[10:20]")
    code = "%%isolated --out a,part,more\nmore = a * 2; part[:] = -1; int(a[10])"
    assert ok(kernel, code) == "-1"
    assert ok(kernel, "int(more[-1]), int(a[10]), a.base is part.base or part.base is a") == (
        "(1999998, -1, True)"
    )


@promise("isolated.kinds", "isolated.variables")
def test_what_cannot_travel_is_named(kernel: Kernel) -> None:
    ok(kernel, "import threading; lock = threading.Lock()")
    ran = kernel.run("%%isolated --out good,bad\ngood = 'lock' in globals(); bad = iter('ab')")
    assert "lock (_thread.lock) was not sent to the worker" in ran.stderr
    assert ok(kernel, "good") == "False"


@promise("isolated.kinds", "isolated.relay")
def test_output_comes_in_order_under_the_cell_that_made_it(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\n"
        "from IPython.display import display, HTML\n"
        "print('one'); display(HTML('<b>two</b>')); print('three'); 'four'"
    )
    # A text may come in two pieces, as anywhere.
    kinds = [kind for kind, _ in itertools.groupby(m["msg_type"] for m in ran.messages)]
    assert kinds == ["stream", "display_data", "stream", "execute_result"]
    assert {m["parent_header"]["msg_id"] for m in ran.messages} == {ran.msg_id}
    assert ran.result == "'four'"


@promise("isolated.kinds", "isolated.relay")
def test_native_code_and_subprocesses_are_heard(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated\nimport os, subprocess\nos.write(1, b'native\\n')\n"
        "subprocess.run(['sh', '-c', 'echo out; echo err >&2'])\nNone"
    )
    assert ran.stdout == "native\nout\n"
    assert ran.stderr == "err\n"


@promise("isolated.kinds", "isolated.relay")
def test_an_error_is_shown_once_and_fails_the_reply(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\n1 / 0")
    assert [m["msg_type"] for m in ran.messages] == ["error"]
    assert ran.reply["ename"] == "ZeroDivisionError"


@promise("isolated.kinds", "isolated.relay")
def test_input_is_asked_and_answered(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\ninput('name? ')", allow_stdin=True, answers=["Ada"])
    assert ran.result == "'Ada'"


@promise("isolated.kinds", "isolated.interrupt")
def test_an_interrupt_stops_the_cell_and_its_worker_goes_on(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker stops\nkept = 5")
    msg_id = kernel.send("%%isolated --worker stops\nprint('begun', flush=True)\nwhile True: pass")
    kernel.wait(lambda: "begun" in kernel.stream(parent=msg_id))
    kernel.interrupt()
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "KeyboardInterrupt"
    assert ok(kernel, "%%isolated --worker stops\nkept") == "5"


@promise("isolated.kinds", "isolated.limits")
def test_who_ignores_the_interrupt_of_a_limit_is_killed(kernel: Kernel) -> None:
    ran = kernel.run(
        "%%isolated --fresh --timeout 1\nimport signal\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        "while True: pass"
    )
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert "ran longer than 1 s" in ran.error["evalue"]


@promise("isolated.kinds", "isolated.survives")
@pytest.mark.parametrize(
    ("code", "reason", "exit_code", "name"),
    [
        ("import os; os._exit(3)", "exit", 3, None),
        ("import ctypes; ctypes.string_at(0)", "segfault", None, "SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", None, "SIGKILL"),
    ],
)
def test_a_death_is_told_and_costs_the_session_nothing(
    kernel: Kernel, code: str, reason: str, exit_code: int | None, name: str | None
) -> None:
    ok(kernel, "x = {'kept': 1}; before = id(x)")
    ran = kernel.run(f"%%isolated --worker {reason}\n{code}")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert "as they were" in ran.error["evalue"]
    died = kernel.logs.records("worker", state="dead")[-1]
    assert (died["reason"], died["detail"]["exit_code"], died["detail"]["signal"]) == (
        reason, exit_code, name,
    )  # fmt: skip
    assert ok(kernel, "x, id(x) == before") == "({'kept': 1}, True)"
    assert ok(kernel, f"%%isolated --worker {reason}\n1 + 1") == "2"


@promise("isolated.kinds", "isolated.orphans")
@pytest.mark.parametrize("kind", ["spawn", "remote"])
@pytest.mark.parametrize("end", ["kernel", "worker", "orderly"])
def test_nothing_is_left_however_it_ends(tmp_path: Path, kind: str, end: str) -> None:
    # A spare that nobody has reached yet waits longer.
    spares = "c.WorkerPool.spares = 0\n" if end == "kernel" else ""
    with kernel_with(tmp_path, CONFIGS[kind] + spares) as kernel:
        ok(
            kernel,
            "%%isolated\nimport os, subprocess\n"
            "child = subprocess.Popen(['sleep', '1000'])\n"
            "far = subprocess.Popen(['sleep', '1001'], start_new_session=True)\n",
        )
        if end == "worker":
            assert kernel.run("%%isolated\nos.kill(os.getpid(), 9)").error is not None
        if end == "kernel":
            kernel.kill()
        else:
            kernel.shutdown()
        assert wait_until_gone(kernel) == []
        assert [*kernel.home.glob("run/workers-*/*")] == []


@promise("isolated.kinds")
@pytest.mark.parametrize(
    ("custom", "reason"),
    [
        (THREADED, "zygote refused: a module that was imported ahead has started 1 threads"),
        (BROKEN, "the zygote is gone"),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no zygote to refuse")
def test_where_the_zygote_cannot_fork_a_program_is_started_and_that_is_said_once(
    tmp_path: Path, custom: str, reason: str
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(custom, "utf-8")
    with kernel_with(tmp_path / "config", "", paths=[site]) as kernel:
        first = kernel.run("%%isolated\n1 + 1")
        others = [kernel.run("%%isolated --fresh\n2 + 2") for _ in range(2)]

        assert [first.result, *(ran.result for ran in others)] == ["2", "4", "4"]
        assert f"started as programs, which takes longer: no fork was possible ({reason}" in (
            first.stderr
        )
        assert [ran.stderr for ran in others] == ["", ""]
        begun = kernel.logs.records("worker", state="idle")
        assert {record["detail"]["kind"] for record in begun} == {"spawn"}
        assert begun[0]["reason"] == reason


@promise("isolated.kinds")
def test_a_provisioner_that_starts_nothing_costs_the_cell_a_sentence(tmp_path: Path) -> None:
    config = CONFIGS["remote"] + "c.WorkerPool.provisioner_config = {'fails': 'no machine free'}\n"
    with kernel_with(tmp_path, config) as kernel:
        ran = kernel.run("%%isolated\n1 + 1")
        assert ran.reply["ename"] == "IsolationUnavailable"
        assert "no worker can be started: RuntimeError: no machine free" in ran.reply["evalue"]
        assert ok(kernel, "1 + 1") == "2"


@promise("isolated.kinds")
def test_a_limit_that_nobody_can_hold_a_far_worker_to_is_refused(tmp_path: Path) -> None:
    with kernel_with(tmp_path, CONFIGS["remote"]) as kernel:
        ran = kernel.run("%%isolated --cpu 5 --processes 3\nprint('ran')")
        assert ran.reply["ename"] == "IsolationUnavailable"
        assert "cannot be held to --cpu and --processes" in ran.reply["evalue"]
        assert ran.stdout == ""


@promise("isolated.kinds")
def test_a_far_worker_shares_no_file_no_key_and_no_environment_with_us(tmp_path: Path) -> None:
    with kernel_with(tmp_path, CONFIGS["remote"]) as kernel:
        ok(kernel, "import os; os.environ['NEW'] = 'told'; os.chdir('/')")
        ok(kernel, "%%isolated\n1")
        ok(kernel, "os.environ['NEWER'] = 'told'")
        seen = (
            "%%isolated --out seen\nimport os, sys\nfrom ipykernel.kernelapp import IPKernelApp\n"
            "app = IPKernelApp.instance()\n"
            "seen = (app.transport, app.curve_secretkey is not None, app.session.key,"
            " os.environ.get('NEWER'), 'FLOW_HOME' in os.environ, os.getcwd())"
        )
        ok(kernel, seen)
        found = ok(kernel, "seen[:2], seen[2] != get_ipython().kernel.session.key, seen[3:5]")
        assert found == "(('tcp', True), True, ('told', False))"
        assert ok(kernel, "seen[5] != os.getcwd()") == "True"
        if not can_unshare():
            pytest.skip("this system gives no process a file system of its own")
        mark = tmp_path / "here"
        mark.touch()
        assert ok(kernel, f"%%isolated\nos.path.exists({str(mark)!r})") == "False"


@promise("isolated.blocked")
@pytest.mark.soak
@pytest.mark.timeout(150)
@pytest.mark.parametrize("lost_after_s", [300.0, 20.0], ids=["kept", "torn"])
def test_a_machine_that_is_silent_for_a_minute_is_told_of_and_costs_no_wait_without_an_end(
    tmp_path: Path, lost_after_s: float
) -> None:
    config = f"{CONFIGS['remote']}c.WorkerPool.lost_after = {lost_after_s}\n"
    with kernel_with(tmp_path / "config", config) as kernel:
        msg_id = kernel.send("%%isolated\nimport time\nprint('begun'); time.sleep(5); 7")
        kernel.wait_for_text("begun")
        machine = [each for each in marked(kernel) if each.pid != kernel.pid]
        assert machine
        for each in machine:
            each.suspend()
        told = kernel.logs.wait("worker", state="blocked", timeout=90.0)[0]
        for each in machine:
            with suppress(psutil.NoSuchProcess):  # a start that took too long was given up
                each.resume()

        assert (told["reason"], told["detail"]["detail"]) == ("unknown", "lost")
        assert told["detail"]["confidence"] == "likely"
        assert told["detail"]["duration_s"] >= 60.0
        ran = kernel.collect(msg_id, timeout=60.0)
        if lost_after_s > 60.0:  # as long as it would go on alone, nothing of it is lost
            assert (ran.result, "broke" in ran.stderr) == ("7", False)
        elif ran.status == "ok":
            assert "the connection to w1 broke" in ran.stderr
        else:
            assert ran.reply["ename"] in ("ConnectionResetError", "WorkerDied")
        assert ok(kernel, "%%isolated\n1 + 1") == "2"
