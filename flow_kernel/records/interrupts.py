"""An interrupt that is noted while something must not be torn in two.

Used by `shell.taps.guard` around our part of a cell, by `session.checkpoints` around a fork, around
a way back and where threads wait for one another, and by `session.isolation` around what it does to
a worker.
"""

import signal
import threading
from importlib import import_module
from types import FrameType
from typing import Any, Final, Self

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_SIGINT: Final = int(signal.SIGINT)
# The functions of C: Python's wrappers turn numbers into enums, with builtins a cell may patch.
_C: Final = import_module("_signal")
_set_handler: Final = _C.signal
_get_handler: Final = _C.getsignal
_get_ident: Final = threading.get_ident
_main_ident: Final = threading.main_thread().ident


class NotedInterrupts:
    """Puts a handler that only notes in the place of the one for Ctrl-C, which is back afterwards.

    Does nothing in other threads, for which no handler is ever called.

    A handler and not a mask of the thread: the system gives a masked signal to another thread, for
    which Python interrupts the main one all the same.
    """

    was_interrupted: bool = False
    before: Any = None
    """The handler that is put back; None where nothing is held."""

    def __enter__(self) -> Self:
        if _get_ident() == _main_ident:
            before = _get_handler(_SIGINT)
            if before is None:  # one that Python did not install and could not put back
                return self
            try:
                _set_handler(_SIGINT, self._note)
            except ValueError:  # not the main interpreter: nothing can be held
                return self
            self.before = before
        return self

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            _set_handler(_SIGINT, self.before)

    def pass_on(self) -> None:
        """Do what a noted interrupt would have done; for after the `with`."""
        if self.was_interrupted and callable(self.before):
            self.before(_SIGINT, None)
            self.was_interrupted = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.was_interrupted = True
