"""Cells that do not go on, each with what the watchdog has to say of it.

Called by `tests.flows.test_watchdog` and by the benchmark of verdicts. Each runs in a worker of its
own.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """One script.

    Attributes:
        name: Of the test.
        code: What runs.
        reason: Of the block.
        detail: Of the block.
        confidence: Of the block; empty for any.
        options: Of `%%isolated`.
        line: A text that the innermost line of its stack has in it.
    """

    name: str
    code: str
    reason: str
    detail: str
    confidence: str = "certain"
    options: str = ""
    line: str = ""


def _loop(name: str, code: str, line: str = "while") -> Blocked:
    return Blocked(name=name, code=code, reason="infinite_loop", detail="repeats", line=line)


def _deadlock(name: str, code: str, line: str = "") -> Blocked:
    return Blocked(name=name, code=code, reason="unknown", detail="deadlock", line=line)


_ABBA: Final = """
import threading
a, b, both = threading.Lock(), threading.Lock(), threading.Barrier(2)
def take(first, second):
    with first:
        both.wait()
        with second: pass
other = threading.Thread(target=take, args=(b, a), daemon=True)
other.start()
take(a, b)
"""
_SWALLOWS: Final = """
while True:
    try:
        while True: pass
    except KeyboardInterrupt:
        pass
"""
_REGEX: Final = "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')"
_HOLDS: Final = "sum(range(10**12))"
_STOPS: Final = "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
_FORKS: Final = """
import os, time
for _ in range(100):
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
time.sleep(600)
"""
_LEAK: Final = """
import time
kept = []
while True:
    kept.append(bytearray(4_000_000))
    time.sleep(0.02)
"""

LOOPS: Final = (
    _loop("pass", "while True: pass"),
    _loop("never_true", "ready = False\nwhile not ready: pass"),
    _loop("forgotten_step", "i, n = 0, 10\nwhile i < n:\n    square = i * i"),
    _loop("in_a_function", "def spin(x):\n    while x != 3: pass\nspin(4)"),
    _loop("two_states", "flag = True\nwhile True:\n    flag = not flag"),
    _loop("deaf", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"),
    _loop("swallows_interrupts", _SWALLOWS),
    _loop("in_a_for_loop", "for number in range(3):\n    while number < 5: pass"),
    _loop(
        "in_a_method", "class A:\n    def go(self):\n        while self is not None: pass\nA().go()"
    ),
    _loop(
        "beside_a_stuck_thread",
        "import threading\nlock = threading.Lock(); lock.acquire()\n"
        "threading.Thread(target=lock.acquire, daemon=True).start()\nwhile True: pass",
    ),
)
DEADLOCKS: Final = (
    _deadlock(
        "lock_twice", "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()"
    ),
    _deadlock("abba", _ABBA),
    _deadlock("empty_queue", "import queue\nqueue.Queue().get()"),
    _deadlock("event_of_nobody", "import threading\nthreading.Event().wait()"),
    _deadlock(
        "joins_a_stuck_thread",
        "import threading\nlock = threading.Lock(); lock.acquire()\n"
        "t = threading.Thread(target=lock.acquire, daemon=True); t.start(); t.join()",
    ),
)
HOLDERS: Final = (
    Blocked(
        name="sum",
        code=_HOLDS,
        reason="unknown",
        detail="gil_held",
        confidence="likely",
        line="sum(range",
    ),
    Blocked(name="regex", code=_REGEX, reason="unknown", detail="gil_held", confidence="likely"),
)
OTHERS: Final = (
    Blocked(name="stopped", code=_STOPS, reason="unknown", detail="stopped"),
    Blocked(
        name="forks",
        code=_FORKS,
        reason="cpu_exhausted",
        detail="processes",
        confidence="likely",
    ),
    Blocked(
        name="leaks",
        code=_LEAK,
        reason="memory_exhausted",
        detail="near_limit",
        confidence="",
        options="--memory 200M",
    ),
    Blocked(
        name="computes_for_too_long",
        code="while True: int('1')",
        reason="cpu_exhausted",
        detail="cpu",
        options="--cpu 1",
    ),
    Blocked(
        name="too_late",
        code="import time\ntime.sleep(600)",
        reason="timeout",
        detail="timeout",
        options="--timeout 0.5",
    ),
    Blocked(
        name="too_many",
        code=_FORKS,
        reason="cpu_exhausted",
        detail="processes",
        options="--processes 20",
    ),
)
BLOCKED: Final = (*LOOPS, *DEADLOCKS, *HOLDERS, *OTHERS)
QUICK: Final = (*LOOPS[:5], *DEADLOCKS, *HOLDERS[:1], *OTHERS)
"""Those of the fast suite; what can be proved of the other loops is tested without a kernel."""
