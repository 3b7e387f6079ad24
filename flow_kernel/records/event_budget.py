"""How many events an agent is told: few enough to read, none of those it waits for lost (pure).

Called by `session.announcer` for each event.

At most one `progress` a second and fifty events a cell. A progress that comes too early is
superseded by the next one and counts as nothing; what exceeds the fifty is counted and told at the
end of the cell as one `task_output {"dropped":n}`. Questions, answers, ends and deaths always pass.
"""

from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

PER_CELL: Final = 50
PROGRESS_EVERY_S: Final = 1.0
ALWAYS: Final = frozenset(
    (
        *("need_approval", "approval_decided", "approval_reminder"),
        *("task_error", "task_finish", "task_complete", "block_detected", "death"),
    )
)
"""Events that no budget holds back."""


class EventBudget:
    """What is left to say in one cell."""

    __slots__ = ("_progress_s", "_said", "dropped")

    def __init__(self) -> None:
        self._progress_s: float | None = None
        self._said = 0
        self.dropped: int = 0
        """Events of this cell that were not told."""

    def admits(self, name: str, now_s: float) -> bool:
        """True when the event may be told.

        Args:
            name: Of the event.
            now_s: A clock that does not jump.
        """
        if name in ALWAYS:
            return True
        if name == "progress":
            latest = self._progress_s
            if latest is not None and now_s - latest < PROGRESS_EVERY_S:
                return False
            self._progress_s = now_s
        if self._said >= PER_CELL:
            self.dropped += 1
            return False
        self._said += 1
        return True

    def end_cell(self) -> int:
        """Begin anew with the next cell; returns how many events were dropped in this one."""
        dropped, self.dropped, self._said = self.dropped, 0, 0
        return dropped
