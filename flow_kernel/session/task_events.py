"""What agents are told of a task: that work on it begins, goes on or ends.

Called by `session.tasks`; the fields are those of the schemas in `records/schemas/events`.
"""

from collections.abc import Iterable

from flow_kernel.session.announcer import Emit
from flow_kernel.session.flow import TaskView
from flow_kernel.store.contract import StepRow, TaskRow


def tell_start(tell: Emit, view: TaskView, *, is_resumed: bool = False) -> None:
    """Cells belong to the task of `view` from now; `is_resumed` when it had begun before."""
    task = view.task
    planned = sum(step.is_planned for step in view.steps)
    resumed = is_resumed or None
    tell("task_start", task_id=task.task_id, title=task.name, steps=planned, resumed=resumed)


def tell_end(tell: Emit, task: TaskRow, steps: Iterable[StepRow]) -> None:
    """`task` has ended, and with it `steps`, which were being done here."""
    for step in steps:
        tell("step_end", task_id=task.task_id, step=step.name, error=step.reason or None)
    name = "task_error" if task.status == "failed" else "task_finish"
    tell(name, task_id=task.task_id, status=task.status, reason=task.reason or None)


def was_begun(task: TaskRow | None) -> bool:
    """True when somebody has worked on `task` before."""
    return task is not None and task.started_at is not None
