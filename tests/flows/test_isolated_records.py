"""What is recorded of isolated cells and their workers, and where a cell cannot get around one."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.flows.test_events import Agent
from tests.isolating import is_gone, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

SECRET = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.fixture(scope="module")
def strict() -> Iterator[Kernel]:
    """A kernel that isolates each cell."""
    with Kernel(env={"USE_SUBPROCESS_WORKER": "1"}) as kernel:
        ok(kernel.ready(), "%task start Strict --steps a,b")
        yield kernel


@promise("isolated.recorded")
def test_the_record_of_a_worker_that_died_holds_no_secret(kernel: Kernel) -> None:
    filler = "-" * 470
    ran = kernel.run(
        f"%%isolated --fresh\nimport os\nprint('{SECRET[:20]}' + '{SECRET[20:]}' + '{filler}')\n"
        "os.abort()"
    )
    assert ran.status == "error"
    record = kernel.logs.wait("worker", state="dead", reason="killed")[-1]
    assert record["detail"]["last_output"] == f"[REDACTED:github_token]{filler}\n"


@promise("isolated.recorded")
def test_the_record_of_a_cell_whose_worker_died_names_the_worker(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated --fresh\nimport os\nos._exit(3)")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    died = kernel.logs.wait("worker", state="dead", reason="exit")[-1]
    assert kernel.logs.one("cell", msg_id=ran.msg_id)["worker"] == died["worker_id"]


@promise("isolated.recorded")
def test_a_cell_that_fails_with_a_lone_surrogate_has_failed(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated\nprint('before \\udcff')\nraise ValueError('odd \\udcff')")
    assert ran.status == "error"
    assert ran.error is not None
    assert (ran.error["ename"], ran.error["evalue"]) == ("ValueError", "odd \\udcff")
    assert kernel.logs.one("cell", msg_id=ran.msg_id)["stdout"].startswith("before ")


@promise("isolated.marks")
def test_a_cell_that_is_not_isolated_after_all_fails_as_its_body_does(kernel: Kernel) -> None:
    ran = kernel.run("%%isolated --no\n1 / 0")
    assert ran.status == "error"
    assert ran.reply["ename"] == "ZeroDivisionError"


@promise("isolated.marks")
@pytest.mark.parametrize(
    "magic", ["%%step b", "%%step?", "%%isolated?", "%%isolated_", "\n%%step a"]
)
def test_the_body_of_a_magic_is_isolated_where_every_cell_is(strict: Kernel, magic: str) -> None:
    strict.run(f"{magic}\nopen('pid', 'w').write(str(__import__('os').getpid()))")
    pid = strict.cwd / "pid"
    assert not pid.exists() or pid.read_text() != str(strict.pid)
    pid.unlink(missing_ok=True)


@promise("isolated.marks", "isolated.session")
def test_a_step_runs_in_a_worker_where_every_cell_does(strict: Kernel) -> None:
    assert ok(strict, "%%step b\nimport os\nos.getpid()") != str(strict.pid)
    steps = [(r.get("name"), r.get("state")) for r in strict.logs.records("step")]
    assert ("b", "done") in steps


@promise("isolated.marks")
@pytest.mark.parametrize(
    "line",
    [
        "%task log {open('pid', 'w').write(str(os.getpid()))}",
        "%%step {open('pid', 'w').write(str(os.getpid()))}\n1",
        "%%isolated --worker {open('pid', 'w').write(str(os.getpid()))}\n1",
        "%%step a\n%task log {open('pid', 'w').write(str(os.getpid()))}",
    ],
)
def test_code_in_the_line_of_a_magic_is_isolated_as_well(strict: Kernel, line: str) -> None:
    ok(strict, "import os")
    strict.run(line.replace("os.getpid", "__import__('os').getpid"))
    pid = strict.cwd / "pid"
    assert not pid.exists() or pid.read_text() != str(strict.pid)
    pid.unlink(missing_ok=True)


@promise("isolated.marks")
@pytest.mark.parametrize(
    "code",
    [
        "\n\n%%isolated --timeout 30\n'there'",
        "  %%isolated\n  'there'",
        "%%step a\n%%isolated --timeout 30\n'there'",
    ],
)
def test_a_cell_that_isolates_itself_does_so_where_every_cell_is(strict: Kernel, code: str) -> None:
    assert ok(strict, code) == "'there'"


@promise("isolated.recorded")
def test_a_worker_that_is_killed_while_it_is_idle_is_recorded_and_told(kernel: Kernel) -> None:
    first = kernel.run("%%isolated --worker idles\nimport os\nkept = 1\nos.getpid()")
    worker_id = kernel.logs.one("cell", msg_id=first.msg_id)["worker"]
    os.kill(int(first.result or 0), signal.SIGKILL)
    (died,) = kernel.logs.wait("worker", state="dead", worker_id=worker_id)
    assert (died["reason"], died["detail"]["signal"]) == ("killed", "SIGKILL")
    ran = kernel.run("%%isolated --worker idles\n'kept' in globals()")
    assert ran.result == "False"
    assert "killed by SIGKILL; no cell ran there; the variables of the worker" in ran.stderr


@promise("isolated.recorded")
def test_a_worker_that_was_ended_is_told_as_no_death(kernel: Kernel) -> None:
    ok(kernel, "%%isolated --worker stops\nkept = 1")
    ok(kernel, "%workers stop stops")
    ok(kernel, "%%isolated --fresh\n1")
    ran = kernel.run("%%isolated --worker stops\n'kept' in globals()")
    assert (ran.result, ran.stderr) == ("False", "")
    assert [r["reason"] for r in kernel.logs.records("worker", state="dead")][-1] == "stopped"


@promise("isolated.recorded", "isolated.orphans")
def test_what_a_fresh_worker_started_without_an_environment_ends_with_it(kernel: Kernel) -> None:
    pid = ok(
        kernel,
        "%%isolated --fresh\nimport subprocess\n"
        "far = subprocess.Popen(['/bin/sh', '-c', 'sleep 1000'], env={}, start_new_session=True)\n"
        "print(far.pid)",
    )
    assert is_gone(int(pid))


@promise("isolated.recorded", "isolated.limits")
def test_a_process_that_left_its_parent_counts_for_the_limits(kernel: Kernel) -> None:
    daemon = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)"
    ran = kernel.run(
        "%%isolated --fresh --processes 2 --timeout 15\nimport subprocess, sys, time\n"
        f"for _ in range(3): subprocess.run([sys.executable, '-c', {daemon!r}])\n"
        "time.sleep(1000)"
    )
    assert ran.error is not None
    assert "it started more than 2 processes" in ran.error["evalue"]


@promise("isolated.recorded", "isolated.variables")
def test_what_an_expression_in_a_magic_changes_is_sent_again(kernel: Kernel) -> None:
    ok(kernel, "%task start Expands")
    ok(kernel, "grows = [1]")
    assert ok(kernel, "%%isolated --worker expands\ngrows") == "[1]"
    ok(kernel, "%task log {grows.append(2)}")
    assert ok(kernel, "%%isolated --worker expands\ngrows") == "[1, 2]"
    ok(kernel, "%task finish")


@promise("isolated.marks")
@pytest.mark.parametrize("name", ["In", "Out", "exit", "__builtins__"])
def test_what_is_the_shells_own_does_not_come_back(kernel: Kernel, name: str) -> None:
    ran = kernel.run(f"%%isolated --out {name}\nIn = 1; Out = 2")
    assert ran.status == "error"
    assert f'"{name}" belongs to the shell' in ran.stderr
    assert ok(kernel, "type(In).__name__, type(Out).__name__") == "('list', 'dict')"


@promise("isolated.marks")
def test_a_request_keeps_its_manner_where_every_cell_is_isolated(strict: Kernel) -> None:
    assert strict.run("6 * 7", silent=True).result is None
    ok(strict, "'before'")
    before = int(ok(strict, "len(In)"))
    assert strict.run("6 * 7", store_history=False).result == "42"
    assert int(ok(strict, "len(In)")) == before + 1


@promise("isolated.marks")
def test_expressions_of_a_client_are_isolated_where_every_cell_is(strict: Kernel) -> None:
    ok(strict, "import os\nthere = 5")
    found = strict.run("0", user_expressions={"v": "there", "pid": "os.getpid()", "no": "1 / 0"})
    told = found.reply["user_expressions"]
    assert told["v"]["data"]["text/plain"] == "5"
    assert told["pid"]["data"]["text/plain"] not in ("", str(strict.pid))
    assert told["no"]["ename"] == "ZeroDivisionError"


@promise("isolated.recorded", "events.told")
def test_an_agent_is_told_which_workers_begin_and_end() -> None:
    with Kernel() as kernel:
        agent = Agent(kernel.ready())

        def told(code: str) -> list[tuple[str, Any]]:
            facts = agent.facts(code)
            return [(name, each.get("reason")) for name, each in facts if each["worker_id"] == "w1"]

        assert told("%%isolated\n1") == [("worker_started", None)]
        assert told("%%isolated\n2") == []
        assert told("%%isolated\nimport os; os.abort()") == [("worker_stopped", "killed")]
        kernel.run("%%isolated\n3")
        stopped = agent.facts("%workers stop default")
        assert [(n, each["reason"]) for n, each in stopped if n == "worker_stopped"] == [
            ("worker_stopped", "ended")
        ]


@promise("record.bounded", "isolated.recorded")
@pytest.mark.parametrize("piece", ["x", "\x1b[1m\n", "\\", '"', "é漢😀"])
def test_large_output_is_recorded_as_that_of_a_cell_of_the_session(
    kernel: Kernel, piece: str
) -> None:
    code = (
        "import sys\nsys.stdout.write('begin')\nfor number in range(5):\n"
        f"    sys.stdout.write({piece!r} * 150_000 + str(number)); sys.stderr.write('between')"
    )
    here, there = kernel.run(code), kernel.run(f"%%isolated\n{code}")
    assert there.stdout == here.stdout
    records = [kernel.logs.one("cell", msg_id=ran.msg_id) for ran in (here, there)]
    one, other = (
        {name: record.get(name) for name in ("stdout", "stderr", "truncated")} for record in records
    )
    assert other == one
    assert one["truncated"] == {"stdout": len(here.stdout.encode())}


@promise("isolated.recorded")
def test_the_end_of_a_large_output_is_what_a_dead_worker_said_last(kernel: Kernel) -> None:
    kernel.run(
        "%%isolated --fresh\nimport os, sys\nsys.stdout.write('x' * 1_000_000 + 'the end')\n"
        "sys.stdout.flush(); os.abort()"
    )
    record = kernel.logs.wait("worker", state="dead", reason="killed")[-1]
    assert record["detail"]["last_output"].endswith("xxxthe end")
