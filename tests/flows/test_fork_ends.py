"""Copies of a session that end badly, or are ended: what is told, what is left, what lives on."""

import os
import signal
import sys

import pytest

from tests.isolating import DEAF, is_gone, ok
from tests.kernels import Kernel
from tests.promises import promise
from tests.workers.trees import runs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

FORK = "%%isolated --fork\n"


@pytest.fixture(scope="module", autouse=True)
def kept(kernel: Kernel) -> None:
    """What has to be there after every end."""
    ok(kernel, "kept = [1]; from pathlib import Path; import os, signal, subprocess, time")


def _lives(kernel: Kernel) -> None:
    assert ok(kernel, f"{FORK}kept + [2]") == "[1, 2]"
    assert ok(kernel, "kept") == "[1]"


@promise("fork.ends")
@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        ("import ctypes\nctypes.string_at(0)", "segfault", "line 2 of the cell: ctypes.string_at"),
        ("print('last words'); os._exit(3)", "exit", "it exited with code 3"),
        ("os.abort()", "killed", "SIGABRT"),
        ("print('last words')\nos.kill(os.getpid(), 9)", "killed", "killed by SIGKILL"),
    ],
)
def test_a_death_is_told_with_its_reason_and_costs_the_session_nothing(
    kernel: Kernel, code: str, reason: str, said: str
) -> None:
    ran = kernel.run(FORK + code)
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert said in ran.error["evalue"]
    assert "the variables of this session are as they were" in ran.error["evalue"]
    record = kernel.logs.wait("worker", state="dead", reason=reason)[-1]
    assert record["worker_id"] == kernel.logs.one("cell", msg_id=ran.msg_id)["worker"]
    if "last words" in code:
        assert (ran.stdout, record["detail"]["last_output"]) == ("last words\n", "last words\n")
    _lives(kernel)


@promise("fork.ends")
def test_an_interrupt_stops_the_cell_and_nothing_else(kernel: Kernel) -> None:
    ran = kernel.interrupted(f"{FORK}open('begun', 'w').close()\nwhile True: pass")
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert [m["msg_type"] for m in ran.messages] == ["error"]
    (kernel.cwd / "begun").unlink()
    ran = kernel.interrupted(f"{FORK}open('begun', 'w').close()\nsubprocess.run(['sleep', '60'])")
    assert ran.reply["ename"] == "KeyboardInterrupt"
    (kernel.cwd / "begun").unlink()
    _lives(kernel)


@promise("fork.ends")
def test_an_interrupt_beside_the_cell_is_one_of_the_cell(kernel: Kernel) -> None:
    ok(
        kernel,
        "session = os.getpid()\ndef stop(lines):\n"
        "    if os.getpid() != session: os.kill(os.getpid(), signal.SIGINT)\n    return lines\n"
        "transforms = get_ipython().input_transformers_post; transforms.append(stop)",
    )
    before = kernel.run(f"{FORK}print('ran')")
    ok(kernel, "transforms.remove(stop)")
    stop = "lambda: [os.kill(os.getpid(), signal.SIGINT) for _ in range(2)]"
    after = kernel.run(f"{FORK}get_ipython().payload_manager.clear_payload = {stop}\nprint('ran')")
    assert [(ran.reply["ename"], ran.stdout, ran.stderr) for ran in (before, after)] == [
        ("KeyboardInterrupt", "", ""),
        ("KeyboardInterrupt", "ran\n", ""),
    ]
    _lives(kernel)


@promise("fork.ends")
def test_a_cell_that_hears_no_interrupt_is_killed_by_the_fourth(kernel: Kernel) -> None:
    begun = kernel.cwd / "begun"
    told = "Path('draft').write_text(str(os.getpid())); os.rename('draft', 'begun')"
    msg_id = kernel.send(f"{FORK}{DEAF}{told}\nwhile True: time.sleep(9)")
    kernel.wait(begun.exists)
    copy = int(begun.read_text())
    begun.unlink()
    # A fifth would come while its end is told, and interrupt that.
    while not kernel.wait(lambda: not runs(copy), timeout=0.2, fail=False):
        kernel.interrupt()
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert (ran.error["ename"], "killed on request" in ran.error["evalue"]) == ("WorkerDied", True)
    _lives(kernel)


@promise("fork.ends")
@pytest.mark.parametrize(
    ("limit", "code", "name", "said"),
    [
        ("--timeout 0.2", "while True: time.sleep(9)", "CellTimeout", "0.2 s that it may run"),
        ("--cpu 0.2", "while True: pass", "CellTimeout", "0.2 s of CPU time"),
        ("--output 100k", "while True: print('x' * 999)", "CellTimeout", "0.1 MB"),
        (
            "--processes 3",
            "all_of_them = [subprocess.Popen(['sleep', '60']) for _ in range(9)]\ntime.sleep(60)",
            "CellTimeout",
            "more than 3 processes",
        ),
    ],
)
def test_a_limit_ends_the_cell_and_is_named(
    kernel: Kernel, limit: str, code: str, name: str, said: str
) -> None:
    ran = kernel.run(f"%%isolated --fork {limit}\n{code}")
    assert ran.error is not None
    assert (ran.error["ename"], said in ran.error["evalue"]) == (name, True)
    assert "the variables of this session are as they were" in ran.error["evalue"]
    _lives(kernel)


@promise("fork.ends")
def test_the_memory_that_counts_is_what_the_cell_takes_on_top(
    kernel: Kernel,
) -> None:
    ok(kernel, "session_s = b'x' * 300_000_000")
    assert ok(kernel, "%%isolated --fork --memory 100M\nlen(b'y' * 10_000_000)") == "10000000"
    ran = kernel.run("%%isolated --fork --memory 100M\nmore = [b'y' * 300_000_000]")
    assert ran.reply["ename"] == "MemoryError"
    assert "may have 100 MB of memory (--memory)" in ran.stderr
    ran = kernel.run(
        "%%isolated --fork --memory 100M\nimport mmap\nm = mmap.mmap(-1, 300_000_000)\n"
        "for at in range(0, 300_000_000, 4096): m[at] = 1\n"
        "time.sleep(60)"  # it is looked at twenty times a second, and may have ended before
    )
    assert ran.error is not None
    assert ran.error["ename"] == "MemoryLimitExceeded"
    assert ok(kernel, "len(session_s)") == "300000000"
    ok(kernel, "del session_s")


@promise("fork.orphans")
def test_what_a_copy_has_started_ends_with_it(kernel: Kernel) -> None:
    code = (
        "a = subprocess.Popen(['sleep', '60'], start_new_session=True).pid\n"
        "b = os.fork()\nif b == 0:\n    os.setsid()\n    c = os.fork()\n"
        "    if c: Path('left').write_text(str(c)); os._exit(0)\n    time.sleep(60); os._exit(0)\n"
        "os.waitpid(b, 0); (a, int(Path('left').read_text()), os.getpid())"
    )
    pids = ok(kernel, FORK + code)
    assert all(is_gone(int(pid)) for pid in pids.strip("()").split(","))


@promise("fork.orphans")
def test_a_killed_session_leaves_no_copy_and_nothing_of_it(own: Kernel) -> None:
    code = (
        "import os, subprocess, time\nfrom pathlib import Path\n"
        "a = subprocess.Popen(['sleep', '60'], start_new_session=True).pid\n"
        "b = os.fork()\nif b == 0:\n    os.setsid(); time.sleep(60); os._exit(0)\n"
        "Path('draft').write_text(f'{os.getpid()} {a} {b}'); os.rename('draft', 'pids')\n"
        "while True: time.sleep(9)"
    )
    own.send(FORK + code)
    path = own.cwd / "pids"
    own.wait(path.exists)
    pids = [int(pid) for pid in path.read_text().split()]
    assert all(map(runs, pids))
    os.kill(own.pid, signal.SIGKILL)
    assert all(map(is_gone, pids))


@promise("fork.ends", "fork.orphans")
def test_a_copy_that_is_killed_from_outside_is_told(kernel: Kernel) -> None:
    msg_id = kernel.send(f"{FORK}Path('pid').write_text(str(os.getpid()))\nwhile True: pass")
    path = kernel.cwd / "pid"
    kernel.wait(lambda: path.exists() and bool(path.read_text()))
    os.kill(int(path.read_text()), signal.SIGKILL)
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert "killed by SIGKILL" in ran.error["evalue"]
    _lives(kernel)


@promise("fork.ends")
def test_a_copy_is_listed_while_it_runs_and_can_be_stopped(kernel: Kernel) -> None:
    ok(
        kernel,
        "import threading\nfrom flow_kernel import current_session\n"
        "steering = current_session().isolation.steering\n"
        "def stop():\n"
        "    global seen\n    seen = []\n"
        "    while not seen: seen = [v.line for v in steering.views() if v.line.kind == 'fork']\n"
        "    while not Path('runs').exists(): pass\n"
        "    steering.stop(seen[0].worker_id)\n"
        "stopper = threading.Thread(target=stop); stopper.start()",
    )
    ran = kernel.run(f"{FORK}Path('runs').touch()\nwhile True: time.sleep(9)")
    assert ran.error is not None
    assert "killed by SIGKILL" in ran.error["evalue"]
    ok(kernel, "stopper.join()")
    worker_id = kernel.logs.one("cell", msg_id=ran.msg_id)["worker"]
    assert ok(kernel, "[(v.worker_id, v.state) for v in seen]") == f"[('{worker_id}', 'busy')]"
    _lives(kernel)
