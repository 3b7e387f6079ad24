"""The wall between our failures and the user's cell, and Ctrl-C while we work.

Called by every tap: nothing of ours runs in a cell's path but through here.
"""

import signal
import sys
import traceback
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.interrupts import NotedInterrupts

globals()["__builtins__"] = FROZEN_BUILTINS

P = ParamSpec("P")
T = TypeVar("T")

_LIMIT: Final = 3
_RAISES: Final = signal.default_int_handler


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


class HeldInterrupts(NotedInterrupts):
    """Holds Ctrl-C back while our few microseconds last, so that it hits the cell and not us.

    Without it the interrupt would end in IPython's "Error in callback" and the cell would go on.
    A handler of the user's is told afterwards; where there is none, the caller interrupts the cell.
    """

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self.before is not _RAISES:
            self.pass_on()


def say(text: str) -> None:
    """Write `text` to the real stderr; the last resort when a cell broke everything else."""
    try:
        stream = sys.__stderr__
        if stream is not None:
            stream.write(text)
            stream.flush()
    except (OSError, ValueError):
        pass
