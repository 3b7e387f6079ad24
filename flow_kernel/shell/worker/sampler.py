"""Looks at the code of a cell from a thread of its worker, and shows its session what it sees.

Made by `shell.worker.app` and by `shell.forked.cell`. A session asks its worker for it on the
control channel once a cell has run for a second: a shorter one costs nothing. Nobody can ask a copy
of the session, which begins at once, and waits for that second. It runs no code of the user's and
keeps no value of theirs; what it needs is bound at import, for a cell may put anything in the place
of anything.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.workers.glimpses import Glimpse, Glimpses, nothing
from flow_kernel.workers.loop_proof import Names, Steps, Verdict, is_at_loop, judge, parse

globals()["__builtins__"] = FROZEN_BUILTINS

_FAST_S: Final = 0.094
"""Ten times a second: what holds the GIL lets it go 5 ms after it is asked to."""
_SLOW_S: Final = 0.5
_ALIKE: Final = 1
"""Looks at one place before the loop is thought about: code that moves on is left alone."""
_AGAIN: Final = 5
_NEAR: Final = 15
"""Looks at one place after which it is looked at less often, unless it is a loop."""
_FIRM: Final = 3
"""Proofs in a row: one may have seen the values of two moments, where it was kept waiting."""
_MOST_FRAMES: Final = 200
_IN_FUNCTION: Final = 1
"""`inspect.CO_OPTIMIZED`: its names are no dict that its code uses."""
_ALONE: Final = 3
"""References to a dict: of its frame, of a variable, of the call that counts them."""
_SHELL: Final = f"{os.sep}IPython{os.sep}core{os.sep}interactiveshell.py"
_frames: Final = sys._current_frames
_start: Final = _thread.start_new_thread
_allocate: Final = _thread.allocate_lock
_native_id: Final = threading.get_native_id
_getsignal: Final = signal.getsignal
_getpid: Final = os.getpid
_scandir: Final = os.scandir
_open: Final = os.open
_read: Final = os.read
_close: Final = os.close
_references: Final = sys.getrefcount
_monitoring: Final = getattr(sys, "monitoring", None)
_default: Final = signal.default_int_handler
_SIGINT: Final = int(signal.SIGINT)
_numbers: Final = tuple(signal.valid_signals())
_EXPECTED: Final = sum(
    1 << getattr(signal, name) - 1
    for name in ("SIGINT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS")
    if hasattr(signal, name)
)
"""An interrupt is caught while a cell runs; the others come of what the code itself does."""
_TIMED: Final = sum(
    1 << getattr(signal, name) - 1
    for name in ("SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO")
    if hasattr(signal, name)
)
"""A cell has these sent to itself at some time, to handlers that were there before it as well."""
_DUMP: Final = getattr(signal, "SIGUSR2", None)


class Sampler:
    """That of one worker; to be made when all threads of ours run.

    Args:
        glimpses: Where it shows what it sees.
        has_comms: Says whether a widget may act while the cell keeps still.
        is_copy: True for a copy of a session: handlers of signals that it finds may be the user's.
    """

    def __init__(
        self, glimpses: Glimpses, *, has_comms: Callable[[], bool], is_copy: bool = False
    ) -> None:
        self._glimpses = glimpses
        self._has_comms = has_comms
        self._pid = _getpid()
        self._main = threading.main_thread().ident or 0
        self._ours = frozenset(_tasks())
        self._handlers = {
            number: None if is_copy and callable(found) else found
            for number in _numbers
            for found in (_getsignal(number),)
        }
        self._caught = _caught() & ~_TIMED if is_copy else _caught()
        self._msg_id = ""
        self._halt: Any = None

    def open(self, msg_id: str) -> None:
        """A cell begins."""
        self._msg_id = msg_id

    def close(self) -> None:
        """It has ended."""
        self._msg_id = ""
        halt, self._halt = self._halt, None
        if halt is not None:
            halt.release()

    def answer(self, _stream: Any, _ident: Any, parent: Any) -> None:
        """A request on the control channel."""
        self.begin(parent["content"].get("msg_id"))

    def begin(self, msg_id: str | None, *, after_s: float = 0.0) -> None:
        """Look at the code of a cell until it ends.

        Args:
            msg_id: Of the cell; nothing is done where it is not this one that runs.
            after_s: The first look.
        """
        if not msg_id or msg_id != self._msg_id or self._halt is not None:
            return
        halt = _allocate()
        halt.acquire()
        self._halt = halt
        if self._msg_id != msg_id:  # it has ended meanwhile
            self.close()
            return
        _start(self._run, (msg_id, halt, after_s))

    # -- inside ------------------------------------------------------------------------------------

    def _run(self, msg_id: str, halt: Any, after_s: float) -> None:
        ours = self._ours | {_native_id()}
        look = _Look(ours)
        wait_s = _FAST_S
        if after_s:
            self._glimpses.write(nothing(msg_id, ours=tuple(ours)))
            if halt.acquire(True, after_s):
                return
        while self._msg_id == msg_id and _getpid() == self._pid:
            try:
                glimpse = look(msg_id, self._main, is_open=self._is_open(), dumps=self._dumps())
            except Exception:  # noqa: BLE001 - the boundary of the thread: its cell must not see it
                glimpse = nothing(msg_id)
            self._glimpses.write(glimpse)
            wait_s = _FAST_S if look.is_near else min(_SLOW_S, wait_s * 1.1)
            if halt.acquire(True, wait_s):
                return

    def _is_open(self) -> bool:
        """True where a handler of a signal or a widget may act while the cell keeps still.

        That of an interrupt is no such: who sends one is another process, or a person. On any other
        signal, which a timer may send, even that one ends a loop. What native code has set only the
        system knows.
        """
        if self._has_comms():
            return True
        if _caught() & ~(self._caught | _EXPECTED):
            return True
        return any(
            callable(now)
            and now is not self._handlers[number]
            and not (now is _default and number == _SIGINT)
            for number in _numbers
            if (now := _getsignal(number)) is not None
        )

    def _dumps(self) -> bool:
        return _DUMP is not None and _getsignal(_DUMP) is self._handlers[_DUMP]


class _Look:
    """One look after the other, of one cell."""

    def __init__(self, ours: frozenset[int]) -> None:
        self._ours = ours
        self._place = 0
        self._count = 0
        self._loop = Verdict.OPEN
        self._proofs = 0
        self._code: CodeType | None = None
        self._steps: Steps = {}
        self.is_near = True

    def __call__(self, msg_id: str, main: int, *, is_open: bool, dumps: bool) -> Glimpse:
        is_alone = not is_open and self._ours.issuperset(_tasks())
        frame = _frames()[main]
        stack, place = _stack_of(frame)
        is_traced, code = _is_traced(frame), frame.f_code
        del frame  # what it holds would end here, and not where the cell lets it go
        self._count = self._count + 1 if place == self._place else 0
        if self._count == 0:
            self._place, self._loop, self._proofs = place, Verdict.OPEN, 0
        if not is_alone or is_traced:
            self._proofs = 0
        if self._is_due():
            if self._code is not code:
                self._code, self._steps = code, parse(code)
            self._loop = _judged(self._steps, code, main)
            self._proofs = self._proofs + 1 if self._loop is Verdict.ENDLESS else 0
        self.is_near = 0 < self._count < _NEAR or self._loop is not Verdict.OPEN
        return Glimpse(
            msg_id=msg_id,
            place=place,
            alike=self._count + 1,
            loop=self._loop,
            ours=tuple(self._ours),
            is_open=is_open or is_traced,
            takes_dump=dumps,
            stack=stack,
        )

    def _is_due(self) -> bool:
        """Proofs hold for ever where nobody else could change a variable since."""
        if self._count < _ALIKE:
            return False
        if self._loop is Verdict.ENDLESS:
            return self._proofs < _FIRM
        often = _AGAIN if self._count < _NEAR else _NEAR
        return self._count == _ALIKE or self._count % often == 0


def _judged(steps: Steps, code: CodeType, main: int) -> Verdict:
    """What can be said of the loop that `main` is in now; its names are let go again."""
    frame = _frames()[main]
    if frame.f_code is not code or not is_at_loop(steps, frame.f_lasti):
        return Verdict.OPEN
    near: Any = frame.f_locals
    try:
        names = Names(near=near, wide=frame.f_globals, built_in=frame.f_builtins)
        verdict = judge(steps, frame.f_lasti, names)
        del names
    finally:
        # Up to Python 3.12 the frame keeps this copy, and with it what the cell deletes later; a
        # cell that has asked for it has one reference more.
        if code.co_flags & _IN_FUNCTION and type(near) is dict and _references(near) <= _ALONE:
            near.clear()
    return verdict


def _is_traced(frame: FrameType) -> bool:
    """True where a trace function or a debugger runs at lines of this code: it may end the loop."""
    if frame.f_trace is not None:
        return True
    if _monitoring is None:
        return False
    return any(
        _monitoring.get_events(tool) or _monitoring.get_local_events(tool, frame.f_code)
        for tool in range(6)
        if _monitoring.get_tool(tool) is not None
    )


def _caught() -> int:
    """The signals that this process has handlers for, as bits; 0 where nobody says."""
    try:
        fd = _open("/proc/self/status", os.O_RDONLY)
    except OSError:
        return 0
    try:
        text = _read(fd, 8192)
    except OSError:
        return 0
    finally:
        _close(fd)
    found = text.partition(b"\nSigCgt:")[2].split(None, 1)
    return int(found[0], 16) if found else 0


def _stack_of(frame: FrameType) -> tuple[tuple[tuple[str, int, str], ...], int]:
    """The user's frames, the innermost first, and a number for where all of them stand."""
    found: list[tuple[str, int, str]] = []
    place = 0
    each: FrameType | None = frame
    while each is not None and len(found) < _MOST_FRAMES:
        code = each.f_code
        if code.co_filename.endswith(_SHELL):
            break
        found.append((code.co_filename, each.f_lineno or 0, code.co_name))
        place = hash((place, id(code), each.f_lasti))
        each = each.f_back
    return tuple(found), place


def _tasks() -> list[int]:
    try:
        return [int(entry.name) for entry in _scandir("/proc/self/task")]
    except (OSError, ValueError):
        return []
