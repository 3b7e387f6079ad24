"""The watchdog where a cell works against it, and where nobody is there to be asked."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.flows.test_watchdog import blocks, doing
from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

ALONE = """
from flow_kernel import current_session
from flow_kernel.session.isolation.cell import IsolatedCell
isolation = current_session().isolation
def alone(code):
    header = get_ipython().kernel.get_parent("shell")["header"]
    cell = IsolatedCell(code=code, header=header, namespace={}, worker="alone", acts_alone=True)
    return isolation.run(cell, answer=None, call=None)
"""
_BREAKS = {
    "clock": "import time\ntime.monotonic = time.time = time.sleep = None",
    "threads": "import threading, _thread\nthreading.Thread = _thread.start_new_thread = None",
    "builtins": "import builtins\nbuiltins.isinstance = builtins.hash = builtins.tuple = None",
    "frames": "import sys\nsys._current_frames = None",
    "instructions": "import dis\ndis.get_instructions = None",
    "signals": "import signal\nsignal.getsignal = signal.default_int_handler = None",
    "json": "import json\njson.JSONEncoder.encode = None",
    "recursion": "import sys\nsys.setrecursionlimit(60)",
}


_DELETES = """
import signal, weakref
class Big: pass
done = False
def ring(*_):
    global done
    done = True
def work():
    big = Big()
    ref, seen = weakref.ref(big), locals()
    seen['mine'] = 1
    while not done: pass
    del big, seen['big']
    return ref() is None, seen['mine']
before = signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 1.8)
print(work())
signal.signal(signal.SIGALRM, before)
"""


@pytest.fixture(scope="module")
def alone() -> Iterator[Kernel]:
    """A kernel that has `alone`, which runs code as a job: nobody has begun it."""
    with Kernel() as kernel:
        kernel.ready()
        ok(kernel, ALONE)
        yield kernel


@promise("isolated.blocked")
def test_a_job_that_certainly_does_not_go_on_is_interrupted(alone: Kernel) -> None:
    ok(alone, "alone('kept = 5').reply['status']")
    assert ok(alone, "type(alone('while True: pass').error).__name__") == "'WorkerBlocked'"
    assert ok(alone, "alone('assert kept == 5').reply['status']") == "'ok'"


@promise("isolated.blocked")
@pytest.mark.soak
def test_a_job_that_hears_nothing_any_more_is_killed(alone: Kernel) -> None:
    ran = alone.run("alone('import os, signal; os.kill(os.getpid(), signal.SIGSTOP)')")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert "killed because it did not go on" in ran.error["evalue"]


@promise("isolated.blocked", "isolated.survives")
def test_the_death_of_a_blocked_worker_is_told_and_its_record_holds_no_secret(
    kernel: Kernel,
) -> None:
    secret = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
    pid = int(ok(kernel, "%%isolated --worker dies\nimport os; os.getpid()"))
    code = f"import queue\nqueue.Queue().get() or '{secret}'"
    msg_id = kernel.send(f"%%isolated --worker dies\n{code}")
    kernel.wait(lambda: doing(kernel, "dies") == ("blocked", "deadlock"))
    os.kill(pid, signal.SIGKILL)
    ran = kernel.collect(msg_id)
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    stack = blocks(kernel)[msg_id]["detail"]["stack"]
    assert "queue.Queue().get()" in stack[-1]
    assert secret[4:] not in str(stack)
    assert ok(kernel, "%%isolated --worker dies\n1 + 1") == "2"


@promise("isolated.blocked", "isolated.survives")
@pytest.mark.soak
@pytest.mark.parametrize("code", _BREAKS.values(), ids=_BREAKS)
def test_a_cell_that_breaks_what_it_finds_is_not_called_blocked(code: str, own: Kernel) -> None:
    busy = f"from time import process_time as now\nend = now() + 5\n{code}\nwhile now() < end: pass"
    own.run(f"%%isolated --fresh\n{busy}", timeout=50)
    assert blocks(own) == {}
    assert ok(own, "%%isolated\n1 + 1") == "2"


@promise("isolated.blocked")
@pytest.mark.parametrize("seen", ["locals()", "{'mine': 1, 'big': 1}"], ids=["asked", "unasked"])
def test_what_a_cell_deletes_is_gone_though_its_loop_was_looked_at(
    kernel: Kernel, seen: str
) -> None:
    code = _DELETES.replace("locals()", seen)
    ran = kernel.run(f"%%isolated --worker deletes\n{code}")
    assert (ran.status, ran.stdout) == ("ok", "(True, 1)\n")
