"""The wall between our failures and the user's cell, and Ctrl-C while we work.

Called by every tap: nothing of ours runs in a cell's path but through here.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any, Final, ParamSpec, TypeVar

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

P = ParamSpec("P")
T = TypeVar("T")

_LIMIT: Final = 3
_SIGINT: Final = int(signal.SIGINT)
# The function of C: Python's wrapper turns numbers into enums, with builtins that a cell may patch.
_set_handler: Final = import_module("_signal").signal
_DEFAULT: Final = int(signal.SIG_DFL)
_get_ident: Final = threading.get_ident
_main_ident: Final = threading.main_thread().ident
_getpid: Final = os.getpid


class Guard:
    """Runs our code; counts its failures and detaches us after three in a row."""

    def __init__(self, on_detach: Callable[[str], None]) -> None:
        self._on_detach = on_detach
        self._in_a_row = 0
        self.failures: int = 0
        self.last_failure: str = ""

    def __call__(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """The result of `work`, or None when it failed; never raises but for Ctrl-C."""
        try:
            result = work(*args, **kwargs)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - whatever our code raises must not reach the cell
            self._failed()
            return None
        self._in_a_row = 0
        return result

    def _failed(self) -> None:
        self.failures += 1
        self._in_a_row += 1
        try:
            self.last_failure = traceback.format_exc(limit=-8)
            if self._in_a_row >= _LIMIT:
                self._on_detach(self.last_failure)
        except BaseException:  # noqa: BLE001 - a cell may have broken traceback as well
            self.last_failure = "unknown"


class HeldInterrupts:
    """Holds Ctrl-C back while our few microseconds last, so that it hits the cell and not us.

    Without it the interrupt would end in IPython's "Error in callback" and the cell would go on.
    """

    _previous: Any = None
    _is_set: bool = False
    was_interrupted: bool = False

    def __enter__(self) -> "HeldInterrupts":
        if _get_ident() == _main_ident:
            try:
                self._previous = _set_handler(_SIGINT, self._note)
                self._is_set = True
            except ValueError:  # not the main interpreter: nothing can be held
                self._is_set = False
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_set:
            return
        previous = self._previous
        # None: a handler that Python did not install and cannot put back.
        _set_handler(_SIGINT, _DEFAULT if previous is None else previous)
        if (
            self.was_interrupted
            and previous is not signal.default_int_handler
            and callable(previous)
        ):
            previous(_SIGINT, None)
            self.was_interrupted = False

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.was_interrupted = True


def say(text: str) -> None:
    """Write `text` to the real stderr; the last resort when a cell broke everything else."""
    try:
        stream = sys.__stderr__
        if stream is not None:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError):
        pass
