"""The state of a home out of the changes that its logs hold (pure).

Called by `session.store_repair`, which reads the logs and what a damaged store still gives.

Each change names the store that it belongs to and its number there, so all of them have one order:
store after store by the time of its first change, number after number. What a later change says of
the same thing stands. What cannot be told for certain is not guessed: it is left out and listed. An
answer that may have been used counts as used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from flow_kernel.records.names import ADHOC_TASK, is_plan_id, is_task_id
from flow_kernel.store import rebuild_runs
from flow_kernel.store.contract import ApprovalRow, Change, StepRow, TaskRow
from flow_kernel.store.run_rows import RunRow, RunStepRow

_Row = TypeVar("_Row", TaskRow, StepRow, ApprovalRow)
_ANSWERED: Final = frozenset({"approved", "skipped"})
WAS: Final = "was"
"""Where a rebuilt store keeps the store and number that a change of its history has in the logs."""

_RUNS_NAMED: Final = 20
_NAMELESS: Final = "its own record is lost; its name and status are unknown"

Place = tuple[str, str]


class Lost(NamedTuple):
    """Something that the logs do not tell.

    Attributes:
        what: `context`, `task`, `text`, `changes`, `approval` or `run`.
        where: `plan/T-0001`, the id of an approval, of a run or of a store.
        name: A key, the name of a field, or numbers of changes.
        reason: Why, in a few words.
    """

    what: str
    where: str
    name: str
    reason: str


class Value(NamedTuple):
    """A value of the context, and who set it when."""

    value: object
    author: str
    at: str


@dataclass(slots=True)
class State:
    """What the changes add up to.

    Attributes:
        history: All changes in their order.
        plans: When each was made.
        tasks: By plan and id.
        steps: By plan, task and number.
        context: By plan and task, then by key.
        tags: By plan and task.
        approvals: By id.
        resumable: The open task of each notebook.
        runs: Of workflows, by id.
        run_steps: By run and step.
        lost: What could not be told.
        decided: Rows that no change tells of as they are.
    """

    history: list[Change] = field(default_factory=list)
    plans: dict[str, str] = field(default_factory=dict)
    tasks: dict[Place, TaskRow] = field(default_factory=dict)
    steps: dict[tuple[str, str, int], StepRow] = field(default_factory=dict)
    context: dict[Place, dict[str, Value]] = field(default_factory=dict)
    tags: dict[Place, set[str]] = field(default_factory=dict)
    approvals: dict[str, ApprovalRow] = field(default_factory=dict)
    resumable: dict[str, Place] = field(default_factory=dict)
    runs: dict[str, RunRow] = field(default_factory=dict)
    run_steps: dict[tuple[str, str], RunStepRow] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)
    decided: list[Change] = field(default_factory=list)


def rebuilt(changes: Iterable[Change], *, sure: Callable[[ApprovalRow], bool]) -> State:
    """The state after `changes`.

    Args:
        changes: In any order; those that are given twice count once, the first one stands.
        sure: Tells whether an answer that nobody seems to have used is certainly unused.

    Returns:
        The state, and what could not be told.
    """
    state = State(history=in_order(changes))
    state.lost += _gaps(state.history)
    for change in state.history:
        _TAKE[change.kind](state, change)
    _add_lost_tasks(state)
    for plan_id, task_id in sorted(state.tasks):
        made = state.tasks[plan_id, task_id].created_at
        state.plans[plan_id] = min(filter(None, (state.plans.get(plan_id), made)), default="")
    _close_answers(state, sure)
    _close_runs(state)
    return state


def add_rows(state: State, rows: Iterable[Change]) -> None:
    """Add what the tables of a damaged store say of things that no change tells of.

    Args:
        state: Changed.
        rows: What a change would say of each row.
    """
    known = {_subject(change) for change in state.history}
    for row in rows:
        if _subject(row) in known or row.kind not in _TAKE:
            continue
        if row.kind == "approval" and row.fields.get("status") in _ANSWERED:
            row = replace(row, fields={**row.fields, "is_used": True})  # noqa: PLW2901 - made safe
        _TAKE[row.kind](state, row)
        state.decided.append(row)
        is_task = row.kind == "task"
        item = Lost("task", "/".join(_place(row)), "", _NAMELESS)
        if is_task and item in state.lost:
            state.lost.remove(item)


def _subject(change: Change) -> tuple[object, ...]:
    """What a change is about."""
    key = {"context": "key", "tag": "tag", "step": "number", "approval": "approval_id"}
    about = change.fields.get(key.get(change.kind, ""), "")
    if change.kind == "approval":
        return (change.kind, about)
    if change.kind == "run":
        return (change.kind, change.fields.get("run_id"), change.fields.get("step_id"))
    return (change.kind, *_place(change), about)


def in_order(changes: Iterable[Change]) -> list[Change]:
    """Each change once, those of the store that began first before those of the next."""
    known: dict[tuple[str, int], Change] = {}
    for change in changes:
        if change.kind in _TAKE and is_plan_id(change.plan_id) and is_task_id(change.task_id):
            known.setdefault((change.store_id, change.number), change)
    # A store begins with its lowest number: a clock may have been put back later.
    begun: dict[str, tuple[int, str]] = {}
    for change in known.values():
        first = (change.number, change.at)
        begun[change.store_id] = min(begun.get(change.store_id, first), first)
    return sorted(known.values(), key=lambda c: (begun[c.store_id][1], c.store_id, c.number))


# -- one change ----------------------------------------------------------------------------------


def _take_plan(state: State, change: Change) -> None:
    notebook = change.fields.get("notebook")
    if type(notebook) is str:
        state.resumable.pop(notebook, None)
        if change.fields.get("is_open"):
            state.resumable[notebook] = _place(change)
    else:
        state.plans.setdefault(change.plan_id, str(change.fields.get("created_at", change.at)))


def _take_task(state: State, change: Change) -> None:
    row = _row(TaskRow, change, {})
    if row is not None:
        state.tasks[_place(change)] = row
        _note_masked(state, change, ("name", "description", "reason"))


def _take_step(state: State, change: Change) -> None:
    if "log" in change.fields:
        return
    row = _row(StepRow, change, {"is_planned": bool(change.fields.get("is_planned"))})
    if row is not None and type(row.number) is int:
        state.steps[*_place(change), row.number] = row
        _note_masked(state, change, ("name", "reason"))


def _take_context(state: State, change: Change) -> None:
    key, said = change.fields.get("key"), change.fields
    if type(key) is not str:
        return
    held = state.context.setdefault(_place(change), {})
    held.pop(key, None)
    state.lost = [
        item for item in state.lost if item[:3] != ("context", "/".join(_place(change)), key)
    ]
    if not said.get("is_set"):
        return
    if said.get("redacted"):
        reason = "the log holds it without its secret"
        state.lost.append(Lost("context", "/".join(_place(change)), key, reason))
        return
    held[key] = Value(said.get("value"), str(said.get("author", "")), change.at)


def _take_tag(state: State, change: Change) -> None:
    tag = change.fields.get("tag")
    if change.fields.get("redacted"):
        _note_masked(state, change, ("tag",))
    elif type(tag) is str:
        held = state.tags.setdefault(_place(change), set())
        (held.add if change.fields.get("is_set") else held.discard)(tag)


def _take_approval(state: State, change: Change) -> None:
    said = change.fields
    more = {"session": said.get("requested_in", ""), "is_used": bool(said.get("is_used", True))}
    row = _row(ApprovalRow, change, more)
    if row is not None:
        before = state.approvals.get(row.approval_id)
        # Whatever came later: it was used.
        is_used = row.is_used or (
            before is not None and before.is_used and before.approval_hash == row.approval_hash
        )
        state.approvals[row.approval_id] = replace(row, is_used=is_used)


def _take_run(state: State, change: Change) -> None:
    said = change.fields
    if rebuild_runs.is_of_step(said):
        key = (str(said.get("run_id")), str(said["step_id"]))
        step = rebuild_runs.step_of(said, state.run_steps.get(key), at=change.at)
        if step is not None:
            state.run_steps[key] = step
        return
    run = rebuild_runs.run_of(said, _place(change), at=change.at)
    if run is not None:
        state.runs[run.run_id] = run


_TAKE: Final[Mapping[str, Callable[[State, Change], None]]] = {
    "plan": _take_plan,
    "task": _take_task,
    "step": _take_step,
    "context": _take_context,
    "tag": _take_tag,
    "approval": _take_approval,
    "run": _take_run,
}


def _row(kind: type[_Row], change: Change, more: Mapping[str, object]) -> _Row | None:
    """The row that a change holds; None where it does not hold all of it."""
    said = {**change.fields, "plan_id": change.plan_id, "task_id": change.task_id, **more}
    known = {one.name: said[one.name] for one in fields(kind) if one.name in said}
    wanted = {one.name for one in fields(kind) if one.default is MISSING}
    return kind(**known) if wanted <= known.keys() else None  # type: ignore[arg-type]  # as they were written


def _place(change: Change) -> Place:
    return change.plan_id, change.task_id


# -- what is missing -----------------------------------------------------------------------------


def _gaps(history: Sequence[Change]) -> list[Lost]:
    """Runs of numbers that are in no log."""
    runs = [
        Lost("changes", before.store_id, _run(before.number + 1, after.number - 1), "in no log")
        for before, after in pairwise(history)
        if before.store_id == after.store_id and before.number + 1 < after.number
    ]
    more = len(runs) - _RUNS_NAMED
    rest = [Lost("changes", "", f"{more} runs more", "in no log")] if more > 0 else []
    return [*runs[:_RUNS_NAMED], *rest]


def _run(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _note_masked(state: State, change: Change, names: Iterable[str]) -> None:
    where = "/".join(_place(change))
    for name in names:
        item = Lost("text", where, name, "the log holds it without its secret")
        if "[REDACTED:" in str(change.fields.get(name, "")) and item not in state.lost:
            state.lost.append(item)


def _add_lost_tasks(state: State) -> None:
    """A row for each task of which only parts are known."""
    parts = {*state.context, *state.tags, *(step[:2] for step in state.steps)}
    for plan_id, task_id in sorted(parts - state.tasks.keys()):
        if task_id != ADHOC_TASK:
            state.lost.append(Lost("task", f"{plan_id}/{task_id}", "", _NAMELESS))
            row = TaskRow(plan_id=plan_id, task_id=task_id, name=task_id, reason=_NAMELESS)
            state.tasks[plan_id, task_id] = row
            state.decided.append(_said(row))


def _close_answers(state: State, sure: Callable[[ApprovalRow], bool]) -> None:
    for row in [*state.approvals.values()]:
        if row.status in _ANSWERED and not row.is_used and not sure(row):
            used = replace(row, is_used=True)
            state.approvals[row.approval_id] = used
            state.decided.append(_said(used))
            reason = "its answer may have been used; ask again"
            state.lost.append(Lost("approval", row.approval_id, "", reason))


def _close_runs(state: State) -> None:
    for run_id, run in [*state.runs.items()]:
        state.runs[run_id] = rebuild_runs.closed(run)
        state.lost.append(Lost("run", run_id, "", rebuild_runs.LOST))
    # A step whose run is told of nowhere is of no use.
    for key in [key for key in state.run_steps if key[0] not in state.runs]:
        del state.run_steps[key]


def _said(row: TaskRow | ApprovalRow) -> Change:
    """What the outbox says of a row."""
    said = asdict(row)
    kind = "task"
    if isinstance(row, ApprovalRow):
        kind, said["requested_in"] = "approval", said.pop("session")
    plan_id, task_id = said.pop("plan_id"), said.pop("task_id")
    return Change(number=0, kind=kind, plan_id=plan_id, task_id=task_id, at="", fields=said)
