"""Signals whose handlers wait until something is whole that must not be torn in two.

Used by `shell.channels.iopub` around each message, by `shell.channels.shell_channel` and by
`shell.streams.unsent_output`.

An interrupt is not the only one whose handler may raise: an alarm that ends a loop does as well,
and ZeroMQ asks for signals between any two parts of a message. `records.interrupts` holds the
interrupt alone, which is cheaper, for where an alarm does no harm.
"""

import signal
import threading
from importlib import import_module
from types import FrameType
from typing import Any, Final, Self

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_SIGINT: Final = int(signal.SIGINT)
_NAMES: Final = ("ALRM", "VTALRM", "PROF", "TERM", "USR1", "USR2", "HUP", "CHLD", "QUIT", "BREAK")
_OTHERS: Final = tuple(
    int(getattr(signal, f"SIG{name}")) for name in _NAMES if hasattr(signal, f"SIG{name}")
)
# The functions of C: Python's wrappers turn numbers into enums, with builtins a cell may patch.
_C: Final = import_module("_signal")
_set_handler: Final = _C.signal
_get_handler: Final = _C.getsignal
_get_ident: Final = threading.get_ident
_main_ident: Final = threading.main_thread().ident


class NotedSignals:
    """Has the handlers of Python wait from `with` to `pass_on`; about 1 µs.

    Does nothing in other threads, in which no handler is ever called.
    """

    __slots__ = ("_before", "_came", "_note_it")

    def __init__(self) -> None:
        self._before: list[tuple[int, Any]] = []
        self._came: list[int] = []
        self._note_it: Any = None

    def __enter__(self) -> Self:
        if _get_ident() != _main_ident:
            return self
        self._note_it = self._note
        try:
            if any(map(callable, map(_get_handler, _OTHERS))):
                for number in _OTHERS:
                    if callable(before := _get_handler(number)):
                        self._before.append((number, before))
                        _set_handler(number, self._note_it)
            # One that is not callable ends the process, or is of C, or does nothing.
            if callable(before := _get_handler(_SIGINT)):
                self._before.append((_SIGINT, before))
                _set_handler(_SIGINT, self._note_it)
        except BaseException:  # one that was still to be held has raised
            self.__exit__()
            self.pass_on()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for number, before in reversed(self._before):
                if _get_handler(number) is self._note_it:  # else somebody has set another one
                    _set_handler(number, before)
        except BaseException:  # a handler that is back already has raised
            self.__exit__()
            raise

    def pass_on(self) -> None:
        """Do what the handlers would have done; for after the `with`, in a `finally`."""
        while self._came:
            number = self._came.pop(0)
            next(before for held, before in self._before if held == number)(number, None)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number not in self._came:  # as the system does: they are not counted
            self._came.append(number)
