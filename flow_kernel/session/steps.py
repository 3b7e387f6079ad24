"""What a user holds while a step is done: its log and its progress.

Made by `session.tasks` for `with step(…)`.
"""

import time
from collections.abc import Callable
from typing import Final

from flow_kernel.errors import UsageError
from flow_kernel.session.progress import Meter, Progress
from flow_kernel.store.contract import StepRow

_monotonic: Final = time.monotonic

ShowProgress = Callable[[int, Progress], None]
"""Draws the progress of the step with a number; called ten times a second at most."""


class Step:
    """A step that is being done.

    Args:
        row: The step in the store.
        log: Adds a line to the log of the task.
        show: Draws its progress.
    """

    def __init__(self, row: StepRow, *, log: Callable[[str], None], show: ShowProgress) -> None:
        self.name: str = row.name
        self.number: int = row.number
        self._log = log
        self._show = show
        self._meter = Meter(row.name)

    def log(self, text: str) -> None:
        """Add a line to the log of the task."""
        self._log(text)

    def progress(self, i: float, n: float) -> None:
        """Say that `i` of `n` are done; a bar is shown, however often this is called.

        Raises:
            UsageError: They are no numbers, or `n` is not above zero.
        """
        if not (_is_number(i) and _is_number(n) and n > 0):
            raise UsageError(f"progress takes two numbers, the second above zero, not {i!r}, {n!r}")
        frame = self._meter.report(i, n, _monotonic())
        if frame is not None:
            self._show(self.number, frame)

    def __repr__(self) -> str:
        latest = self._meter.latest
        return f"<step {self.name}{f': {latest.note()}' if latest else ''}>"


def _is_number(value: object) -> bool:
    # NaN is no number here: every comparison with it is false.
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")  # noqa: PLR0124 - see above
