"""Where the records of a session go now: plan, task and step.

Held by `session.assembly`; changed by `session.tasks`, read by the recorder at each cell.
"""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.names import ADHOC_TASK

globals()["__builtins__"] = FROZEN_BUILTINS


class Place(NamedTuple):
    """The task and step that a cell runs in.

    Attributes:
        plan_id: The body of work.
        task_id: The unit of work; `T-0000` takes cells outside any task.
        trace_id: 32 hex; equal for all sessions of one task, own for each session without a task.
        step: Name of the step that is being done; None outside any.
        task_type: Of the task; empty outside any.
    """

    plan_id: str
    task_id: str
    trace_id: str
    step: str | None = None
    task_type: str = ""


class Whereabouts:
    """The place of one session; `now` is replaced as a whole."""

    __slots__ = ("_on_move", "look", "now", "session")

    def __init__(
        self, session: str, plan_id: str, task_id: str, *, on_move: Callable[[Place], None]
    ) -> None:
        """Begin somewhere.

        Args:
            session: 32 hex.
            plan_id: The body of work.
            task_id: The unit of work.
            on_move: Told the new place when the task changes.
        """
        self.session: str = session
        self._on_move = on_move
        # Set by whoever can tell that the task of this place was ended by another process.
        self.look: Callable[[], str | None] = lambda: None
        self.now: Place = Place(plan_id, task_id, trace_of(session, plan_id, task_id))

    def move(self, plan_id: str, task_id: str, step: str | None, *, task_type: str = "") -> None:
        """Go on in another task or step."""
        before, trace_id = self.now, trace_of(self.session, plan_id, task_id)
        self.now = Place(plan_id, task_id, trace_id, step, task_type)
        if before[:2] != self.now[:2]:
            self._on_move(self.now)


def trace_of(session: str, plan_id: str, task_id: str) -> str:
    """The trace that the records of a task belong to: 32 hex."""
    if task_id == ADHOC_TASK:
        return session
    name = f"{plan_id}/{task_id}".encode("utf-8", "backslashreplace")
    return hashlib.sha256(name).hexdigest()[:32]
