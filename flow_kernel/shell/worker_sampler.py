"""Looks at the code of a cell from a thread of its worker, and shows its session what it sees.

Made by `shell.worker_app`. The session asks for it on the control channel once a cell has run for
a second: a shorter one costs nothing. It runs no code of the user's and keeps no value of theirs;
what it needs is bound at import, for a cell may put anything in the place of anything.
"""

import _thread
import os
import signal
import sys
import threading
from types import CodeType, FrameType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.workers.glimpses import REQUEST, Glimpse, Glimpses, nothing
from flow_kernel.workers.loop_proof import Names, Steps, Verdict, judge, parse

globals()["__builtins__"] = FROZEN_BUILTINS

_FAST_S: Final = 0.094
"""Ten times a second: what holds the GIL lets it go 5 ms after it is asked to."""
_SLOW_S: Final = 0.5
_ALIKE: Final = 1
"""Looks at one place before the loop is thought about: code that moves on is left alone."""
_AGAIN: Final = 5
_NEAR: Final = 15
"""Looks at one place after which it is looked at less often, unless it is a loop."""
_MOST_FRAMES: Final = 200
_SHELL: Final = f"{os.sep}IPython{os.sep}core{os.sep}interactiveshell.py"
_frames: Final = sys._current_frames
_start: Final = _thread.start_new_thread
_allocate: Final = _thread.allocate_lock
_native_id: Final = threading.get_native_id
_getsignal: Final = signal.getsignal
_getpid: Final = os.getpid
_scandir: Final = os.scandir
_default: Final = signal.default_int_handler
_numbers: Final = tuple(signal.valid_signals())
_DUMP: Final = getattr(signal, "SIGUSR2", None)


class Sampler:
    """That of one worker; to be made when all threads of ours run.

    Args:
        kernel: Of the worker.
        glimpses: Where it shows what it sees.
    """

    def __init__(self, kernel: Any, glimpses: Glimpses) -> None:
        self._kernel = kernel
        self._glimpses = glimpses
        self._pid = _getpid()
        self._main = threading.main_thread().ident or 0
        self._ours = frozenset(_tasks())
        self._handlers = {number: _getsignal(number) for number in _numbers}
        self._msg_id = ""
        self._halt: Any = None
        kernel.control_handlers[REQUEST] = self._asked

    def open(self, msg_id: str) -> None:
        """A cell begins."""
        self._msg_id = msg_id

    def close(self) -> None:
        """It has ended."""
        self._msg_id = ""
        halt, self._halt = self._halt, None
        if halt is not None:
            halt.release()

    # -- inside ------------------------------------------------------------------------------------

    def _asked(self, _stream: Any, _ident: Any, parent: Any) -> None:
        msg_id = parent["content"].get("msg_id")
        if not msg_id or msg_id != self._msg_id or self._halt is not None:
            return
        halt = _allocate()
        halt.acquire()
        self._halt = halt
        if self._msg_id != msg_id:  # it has ended meanwhile
            self.close()
            return
        _start(self._run, (msg_id, halt))

    def _run(self, msg_id: str, halt: Any) -> None:
        look = _Look(self._ours | {_native_id()})
        wait_s = _FAST_S
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
        """True where a handler of a signal or a widget may act while the cell keeps still."""
        manager = getattr(self._kernel, "comm_manager", None)
        if manager is not None and manager.comms:
            return True
        return any(
            callable(now) and now is not _default and now is not self._handlers[number]
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
        self._is_firm = False
        self._code: CodeType | None = None
        self._steps: Steps = {}
        self.is_near = True

    def __call__(self, msg_id: str, main: int, *, is_open: bool, dumps: bool) -> Glimpse:
        frame = _frames()[main]
        stack, place = _stack_of(frame)
        threads = tuple(each for each in _tasks() if each not in self._ours)
        self._count = self._count + 1 if place == self._place else 0
        if self._count == 0:
            self._place, self._loop = place, Verdict.OPEN
        is_alone = not threads and not is_open
        self._is_firm = self._is_firm and is_alone
        if self._is_due():
            if self._code is not frame.f_code:
                self._code, self._steps = frame.f_code, parse(frame.f_code)
            self._is_firm = is_alone
            self._loop = judge(
                self._steps,
                frame.f_lasti,
                Names(near=frame.f_locals, wide=frame.f_globals, built_in=frame.f_builtins),
            )
        self.is_near = 0 < self._count < _NEAR or self._loop is not Verdict.OPEN
        return Glimpse(
            msg_id=msg_id,
            place=place,
            alike=self._count + 1,
            loop=self._loop,
            threads=threads,
            is_open=is_open,
            takes_dump=dumps,
            stack=stack,
        )

    def _is_due(self) -> bool:
        """A proof holds for ever where nobody else could change a variable since."""
        if self._count < _ALIKE:
            return False
        if self._loop is Verdict.ENDLESS:
            return not self._is_firm
        often = _AGAIN if self._count < _NEAR else _NEAR
        return self._count == _ALIKE or self._count % often == 0


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
