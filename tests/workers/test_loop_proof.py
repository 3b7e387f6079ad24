"""A loop is called endless only where one pass of it proves that it is."""

import sys
import threading
from types import FrameType
from typing import Any

import pytest

from flow_kernel.workers.loop_proof import Names, Verdict, judge, parse

ENDLESS = {
    "pass": "while True: pass",
    "never true": "ready = False\nwhile not ready: pass",
    "forgotten step": "i, n = 0, 10\nwhile i < n:\n    square = i * i",
    "two states": "flag = True\nwhile True:\n    flag = not flag",
    "three states": "n = 0\nwhile n != 7:\n    n = (n + 1) % 3",
    "in a for loop": "for n in range(3):\n    while n < 5: pass",
    "branches": "a, b = 1, 2\nwhile True:\n    if a > b: break\n    elif b == 3: continue",
    "identity": "x = object()\nwhile x is not None: pass",
    "text": "name = 'Ada'\nwhile name != 'Bob': pass",
    "swallowed": (
        "while True:\n    try:\n        while True: pass\n    except KeyboardInterrupt: pass"
    ),
}
WAITS = {
    "attribute": "class Box: done = False\nbox = Box()\nwhile not box.done: pass",
    "list": "found = []\nwhile not found: pass",
    "item": "shared = bytearray(1)\nwhile shared[0] == 0: pass",
}
OPEN = {
    "counts": "n = 10 ** 9\nwhile n: n -= 1",
    "floats": "x = 0.0\nwhile x < 1e12: x += 1.0",
    "repeats": "from itertools import repeat\nfor _ in repeat(None, 10 ** 12): pass",
    "range": "for n in range(10 ** 12): pass",
    "calls": "import time\nwhile time.monotonic() > 0: pass",
    "text grows": "s = ''\nwhile len(s) < 10 ** 12: s += 'x'",
    "numbers without bound": "n = 3\nwhile n != 4: n = n * n % 10 ** 5000 + 1",
    "short loop in another": (
        "from itertools import repeat\nfor _ in repeat(None, 10 ** 12):\n    k = 2\n"
        "    while k: k -= 1"
    ),
}


class _Over(BaseException):
    pass


def verdicts_of(code: str, count: int = 20) -> set[Verdict]:
    """What is said of `code` at several times while it runs in another thread."""
    begun, namespace = threading.Event(), {"begun": None}
    source = compile(code, "<cell>", "exec")
    ident: list[int] = []

    def run() -> None:
        ident.append(threading.get_ident())
        begun.set()
        try:
            exec(source, namespace)
        except _Over:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    begun.wait(10)
    found: set[Verdict] = set()
    seen = 0
    try:
        while seen < count:
            frame = _user_frame(sys._current_frames()[ident[0]])
            if frame is None:
                continue
            seen += 1
            names = Names(near=frame.f_locals, wide=frame.f_globals, built_in=frame.f_builtins)
            found.add(judge(parse(frame.f_code), frame.f_lasti, names))
            _let_go()
    finally:
        _end(thread)
    return found


def _user_frame(frame: FrameType) -> FrameType | None:
    return frame if frame.f_code.co_filename == "<cell>" else None


def _let_go() -> None:
    """Have the other thread run for a turn."""
    threading.Event().wait(0.006)


def _end(thread: threading.Thread) -> None:
    import ctypes  # only here

    raise_in: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc
    while thread.is_alive():
        raise_in(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Over))
        thread.join(0.05)


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_a_loop_that_repeats_itself_is_endless(code: str) -> None:
    assert Verdict.ENDLESS in verdicts_of(code, 5)


@pytest.mark.parametrize("code", WAITS.values(), ids=WAITS)
def test_a_loop_that_looks_at_what_others_may_change_only_waits(code: str) -> None:
    found = verdicts_of(code, 5)
    assert Verdict.WAITS in found
    assert Verdict.ENDLESS not in found


@pytest.mark.parametrize("code", OPEN.values(), ids=OPEN)
def test_nothing_is_said_of_a_loop_that_may_end(code: str) -> None:
    assert verdicts_of(code) == {Verdict.OPEN}


def test_nothing_is_said_of_a_place_that_is_no_end_of_a_loop() -> None:
    code = compile("x = 1\nwhile x: x = 2", "<cell>", "exec")
    empty = Names(near={}, wide={}, built_in={})
    assert judge(parse(code), 0, empty) is Verdict.OPEN
    assert judge({}, 4, empty) is Verdict.OPEN
