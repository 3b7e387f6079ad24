"""The watchdog on copies of a session: what does not go on is told, and what goes on is not."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

FORK = "%%isolated --fork\n"
PAST_ITS_START = "time.sleep(2.2)\n"
"""What hangs before is killed as a copy that hangs as it begins."""
ENDS_BY_A_HANDLER = """
signal.setitimer(signal.ITIMER_REAL, 3.2)
while not rung:
    pass
"""
NATIVE_HANDLER = """
import ctypes
handler = ctypes.cast(ctypes.pythonapi.PyErr_SetInterrupt, ctypes.c_void_p)
_ = ctypes.CDLL(None).signal(int(signal.SIGALRM), handler)
"""
ENDS_BY_NATIVE_CODE = """
signal.setitimer(signal.ITIMER_REAL, 3.2)
try:
    while True:
        x = 1
except KeyboardInterrupt:
    pass
"""
SETUP = "import os, signal, threading, time\nheld = threading.Lock()\nrung = []"
BEFORE = {
    # The handler is of a cell before, and could be anybody's.
    "a handler": "_ = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))",
    "native code": NATIVE_HANDLER,
}
GO_ON = {
    "computes": {"a handler": ENDS_BY_A_HANDLER, "native code": ENDS_BY_NATIVE_CODE},
    "waits": {
        "a timer": (
            "threading.Timer(3.2, held.release).start(); _ = held.acquire(); _ = held.acquire()"
        ),
        "sleep": "time.sleep(3.2)",
        "work": "total = sum(i * i for i in range(30_000_000))",
    },
}


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        ok(kernel.ready(), SETUP)
        yield kernel


def blocks(kernel: Kernel) -> list[dict[str, Any]]:
    return [record["detail"] for record in kernel.logs.records("worker", state="blocked")]


@promise("isolated.blocked")
@pytest.mark.parametrize(
    ("code", "reason", "detail", "line"),
    [
        ("while True:\n    x = 1", "infinite_loop", "repeats", "of the cell"),
        (f"{PAST_ITS_START}own = threading.Lock()\nown.acquire()\nown.acquire()",
         "unknown", "deadlock", "line 4 of the cell: own.acquire()"),
    ],
    ids=["a loop", "a deadlock"],
)  # fmt: skip
def test_a_copy_that_does_not_go_on_is_told_of_and_heeds_an_interrupt(
    kernel: Kernel, code: str, reason: str, detail: str, line: str
) -> None:
    before = len(blocks(kernel))
    msg_id = kernel.send(FORK + code)
    kernel.wait(lambda: len(blocks(kernel)) > before)

    block = blocks(kernel)[-1]
    assert (block["reason"], block["detail"], block["confidence"]) == (reason, detail, "certain")
    assert line in block["stack"][0]
    # What the session holds is none of the copy's.
    assert block["resource_usage"]["memory"] < 50_000_000
    kernel.wait_for_text("the variables of the session are untouched", "stderr")
    kernel.interrupt()
    assert kernel.collect(msg_id).reply["ename"] == "KeyboardInterrupt"
    assert ok(kernel, f"{FORK}1 + 1") == "2"


@promise("isolated.blocked")
def test_a_copy_that_is_stopped_is_told_of_and_goes_on_again(kernel: Kernel) -> None:
    before = len(blocks(kernel))
    code = "open('pid', 'w').write(str(os.getpid()))\nos.kill(os.getpid(), signal.SIGSTOP)\n7"
    msg_id = kernel.send(FORK + code)
    kernel.wait(lambda: len(blocks(kernel)) > before)
    assert blocks(kernel)[-1]["detail"] == "stopped"
    os.kill(int((kernel.cwd / "pid").read_text(encoding="ascii")), signal.SIGCONT)
    assert kernel.collect(msg_id).result == "7"


@promise("isolated.blocked")
@pytest.mark.parametrize("kind", ["computes", "waits"])
def test_nothing_is_told_of_a_copy_that_goes_on(kind: str) -> None:
    with ExitStack() as ends:
        kernels = {name: ends.enter_context(Kernel()) for name in GO_ON[kind]}
        for name, kernel in kernels.items():
            ok(kernel.ready(), f"{SETUP}\n{BEFORE.get(name, '')}")
        # Each in a session of its own, all at one time: each takes seconds.
        sent = {name: kernels[name].send(FORK + code) for name, code in GO_ON[kind].items()}
        ended = {name: kernels[name].collect(msg_id).status for name, msg_id in sent.items()}
        assert ended == dict.fromkeys(kernels, "ok")
        assert {name: blocks(kernel) for name, kernel in kernels.items()} == {
            name: [] for name in kernels
        }


@promise("isolated.blocked")
def test_what_copies_show_is_let_go_with_them(kernel: Kernel) -> None:
    ok(kernel, "import gc, pathlib; gc.disable()")
    maps = "sum('/dev/zero' in each for each in pathlib.Path('/proc/self/maps').open())"
    before = ok(kernel, maps)
    for _ in range(5):
        ok(kernel, f"{FORK}1")
    # What an earlier copy has shown may be let go only now.
    kernel.wait(lambda: int(ok(kernel, maps)) <= int(before))
    ok(kernel, "gc.enable()")
