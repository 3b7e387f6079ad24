"""The states of tasks and steps, and what leads from one to the next (pure).

Called by `session.tasks`, which reads and writes the rows.

    task    todo ──start──▶ doing ◀──resume── waiting       doing ──wait──▶ waiting
            todo, doing, waiting ──cancel──▶ cancelled
            doing, waiting ──finish──▶ done     doing, waiting ──fail──▶ failed
            done, failed, cancelled ──reopen──▶ doing

    step    planned ──begin──▶ doing ──done──▶ done     doing ──fail──▶ failed
            done, failed ──begin──▶ doing   (a step that is done again)
            doing ──begin──▶ doing          (taken over from a process that may be dead)
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from flow_kernel.errors import IllegalTransition, UsageError
from flow_kernel.store.contract import StepRow, TaskRow

TYPES: Final = (
    "code-execution",
    "file-operation",
    "git-operation",
    "deployment",
    "analysis",
    "custom",
    "sandbox-execution",
    "compilation",
    "build",
    "test",
)
STATUSES: Final = ("todo", "doing", "waiting", "done", "failed", "cancelled")
OPEN: Final = frozenset({"todo", "doing", "waiting"})
RESERVED: Final = frozenset({"list", "show", "diff", "verify", "prune", "status"})
"""Names that `%task` and `%checkpoint` read as verbs."""

_MAX_NAME: Final = 5000
_EVENTS: Final[dict[str, dict[str, str]]] = {
    "start": {"todo": "doing"},
    "wait": {"doing": "waiting"},
    "resume": {"waiting": "doing"},
    "finish": {"doing": "done", "waiting": "done"},
    "fail": {"doing": "failed", "waiting": "failed"},
    "cancel": {"todo": "cancelled", "doing": "cancelled", "waiting": "cancelled"},
    "reopen": {"done": "doing", "failed": "doing", "cancelled": "doing"},
}
_STEP_EVENTS: Final[dict[str, dict[str, str]]] = {
    "begin": {"planned": "doing", "done": "doing", "failed": "doing", "doing": "doing"},
    "done": {"doing": "done"},
    "fail": {"doing": "failed"},
}


def step_task(task: TaskRow, event: str, *, at: str, reason: str = "") -> TaskRow:
    """`task` after `event`.

    Args:
        task: As it is.
        event: start, wait, resume, finish, fail, cancel or reopen.
        at: The time, UTC with milliseconds.
        reason: Why, for fail and cancel.

    Raises:
        IllegalTransition: The task's status does not allow it.
    """
    status = _EVENTS[event].get(task.status)
    if status is None:
        raise IllegalTransition(
            f"task {task.task_id} is {task.status} and cannot {event}; nothing was changed",
            hint=_way_out(task),
        )
    is_over = status not in OPEN
    return replace(
        task,
        status=status,
        reason=reason if is_over else "",
        started_at=task.started_at or (at if status == "doing" else None),
        ended_at=at if is_over else None,
    )


def step_step(step: StepRow, event: str, *, at: str, reason: str = "") -> StepRow:
    """`step` after `event`: begin, done or fail.

    Raises:
        IllegalTransition: The step's state does not allow it.
    """
    state = _STEP_EVENTS[event].get(step.state)
    if state is None:
        raise IllegalTransition(
            f"step {step.name[:60]!r} of {step.task_id} is {step.state} and cannot {event};"
            " nothing was changed"
        )
    if state == "doing":
        return replace(step, state=state, reason="", started_at=at, ended_at=None)
    return replace(step, state=state, reason=reason, ended_at=at)


def begin_step(
    steps: list[StepRow],
    task: TaskRow,
    name: str,
    *,
    parent: int | None,
    mine: Collection[int] = (),
) -> StepRow:
    """The row to begin for a step `name`: the planned one of that name, or a new one.

    A planned one that was done or failed before is done again; the log keeps what it was.

    Args:
        steps: All steps of the task.
        task: Their task.
        name: As the user gave it.
        parent: Number of the step it lies in.
        mine: Numbers of the steps that whoever begins this one is in. One that somebody else has
            begun, who may be dead, is taken over.
    """
    planned = [step for step in steps if step.name == name and step.is_planned]
    for state in ("planned", "failed", "doing", "done"):
        for step in planned:
            if step.state == state and step.number not in mine:
                return replace(step, parent=parent)
    number = max((step.number for step in steps), default=0) + 1
    return StepRow(
        plan_id=task.plan_id,
        task_id=task.task_id,
        number=number,
        name=name,
        is_planned=False,
        parent=parent,
    )


def checked_name(name: str) -> str:
    """A name of a task or step that can be shown and typed.

    Raises:
        UsageError: It is empty, reserved or longer than 5,000 characters.
    """
    if not isinstance(name, str):
        raise UsageError(f"a name is text, not {type(name).__name__}")
    clean = " ".join(name.replace("\0", "").split())
    if not clean:
        raise UsageError("a name has at least one character")
    if clean.lower() in RESERVED:
        raise UsageError(f'"{clean}" is a reserved name', hint="choose another one")
    if len(clean) > _MAX_NAME:
        raise UsageError(f"a name of {len(clean)} characters is too long (at most {_MAX_NAME})")
    return clean.encode("utf-8", "backslashreplace").decode()


def checked_type(kind: str) -> str:
    """One of `TYPES`; raises UsageError."""
    if kind not in TYPES:
        raise UsageError(f'there is no task type "{kind!s:.60}"', hint=f"types: {', '.join(TYPES)}")
    return kind


def _way_out(task: TaskRow) -> str:
    if task.status in OPEN:
        return f"its log is intact; see: jupyter flow task {task.task_id}"
    return way_back(task)


def way_back(task: TaskRow) -> str:
    """How to go on with a task that has ended, in a notebook and in a terminal."""
    return (
        f"to go on with it: %task reopen {task.task_id},"
        f" or: jupyter flow task {task.task_id} reopen"
    )
