"""An approval is written together with the status of the task that it holds up.

Called by `session.approvals`, `session.approval_desk`, `session.reminders` and `session.flow`.

    doing ──a question is open──▶ waiting ──no question is open any more──▶ doing

Both in one transaction. A task that was ended, or has not begun, stays as it is.
"""

from flow_kernel.session.approvals_rules import is_overdue
from flow_kernel.session.task_states import step_task
from flow_kernel.store.contract import ApprovalRow, Reading, TaskRow, Writing


def as_seen(view: Reading, task: TaskRow, *, at: str) -> TaskRow:
    """A task that waits for questions whose time is over goes on; no process has to say so."""
    if task.status != "waiting":
        return task
    known = view.open_approvals(task.plan_id, task.task_id)
    is_held_up = any(not is_overdue(question, at=at) for question in known)
    return task if is_held_up else step_task(task, "resume", at=at)


def put_approval(change: Writing, row: ApprovalRow, *, at: str) -> None:
    """Write `row`, and let its task wait or go on."""
    change.put_approval(row, at=at)
    task = change.task(row.plan_id, row.task_id)
    if task is None or task.status not in ("doing", "waiting"):
        return
    known = change.open_approvals(row.plan_id, row.task_id)
    is_held_up = any(not is_overdue(question, at=at) for question in known)
    if is_held_up != (task.status == "waiting"):
        change.put_task(step_task(task, "wait" if is_held_up else "resume", at=at), at=at)
