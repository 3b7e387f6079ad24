"""What a user holds while a step is done: its log and its progress.

Made by `session.tasks` for `with step(…)`.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from flow_kernel.errors import UsageError
from flow_kernel.session.progress import Meter, Progress
from flow_kernel.store.contract import StepRow

_monotonic: Final = time.monotonic

ShowProgress = Callable[[object, Progress], None]
"""Draws the progress of a step, which stands for its bar; called ten times a second at most."""


class Begun(NamedTuple):
    """A step that was begun here and has not ended; it may belong to a task around the open one.

    Attributes:
        place: Plan and id of its task.
        number: Of the step.
        name: Of the step.
        is_open_ended: It lasts until the next one, or until the task ends.
    """

    place: tuple[str, str]
    number: int
    name: str
    is_open_ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWays:
    """What a step can do, given by the task that it belongs to.

    Attributes:
        log: Adds a line to the log of the task.
        artifact: Notes a file of the task.
        describe: How far it is, in words.
        show: Draws its progress.
    """

    log: Callable[[str], None]
    artifact: Callable[[str | os.PathLike[str]], None]
    describe: Callable[[Progress], str]
    show: ShowProgress


class Step:
    """A step that is being done.

    Args:
        row: The step in the store.
        ways: What it can do.
    """

    def __init__(self, row: StepRow, ways: StepWays) -> None:
        self.name: str = row.name
        self.number: int = row.number
        self._ways = ways
        self._meter = Meter(row.name)

    def log(self, text: str) -> None:
        """Add a line to the log of the task."""
        self._ways.log(text)

    def artifact(self, path: str | os.PathLike[str]) -> None:
        """Note a file that the task makes; its size and checksum are taken when the task ends.

        Raises:
            UsageError: That is no path.
        """
        self._ways.artifact(path)

    def progress(self, i: float, n: float) -> None:
        """Say that `i` of `n` are done; a bar is shown, however often this is called.

        Raises:
            UsageError: They are no numbers, or `n` is not above zero.
        """
        if not (is_number(i) and is_number(n) and n > 0):
            raise UsageError(f"progress takes two numbers, the second above zero, not {i!r}, {n!r}")
        frame = self._meter.report(i, n, _monotonic())
        if frame is not None:
            self._draw(frame)

    def ended(self) -> None:
        """It goes on no more, as far as it may have come: the bar says so."""
        latest = self._meter.latest
        if latest is not None and not latest.is_over:
            self._draw(replace(latest, is_over=True))

    def _draw(self, frame: Progress) -> None:
        self._ways.show(self, replace(frame, said=self._ways.describe(frame)))

    def __repr__(self) -> str:
        latest = self._meter.latest
        return f"<step {self.name}{f': {latest.note()}' if latest else ''}>"


def is_number(value: object) -> bool:
    """True for what `progress` can take."""
    # NaN is no number here: every comparison with it is false.
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")  # noqa: PLR0124 - see above
