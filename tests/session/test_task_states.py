"""The tables of states: which event leads a task or a step where, and which one is refused."""

from dataclasses import replace

import pytest

from flow_kernel.errors import IllegalTransition, UsageError
from flow_kernel.session.task_states import (
    OPEN,
    RESERVED,
    STATUSES,
    TYPES,
    begin_step,
    checked_name,
    checked_type,
    step_step,
    step_task,
)
from flow_kernel.store.contract import StepRow, TaskRow

BEFORE = "2026-11-21T01:00:00.000Z"
AT = "2026-11-21T02:00:00.000Z"
TASK = TaskRow(plan_id="local", task_id="T-0001", name="clean", created_at=BEFORE)
STEP = StepRow(plan_id="local", task_id="T-0001", number=1, name="load")

# The status after each event, by the status before; no entry where the event is refused.
TASKS = {
    "todo": {"start": "doing", "cancel": "cancelled"},
    "doing": {"wait": "waiting", "finish": "done", "fail": "failed", "cancel": "cancelled"},
    "waiting": {"resume": "doing", "finish": "done", "fail": "failed", "cancel": "cancelled"},
    "done": {"reopen": "doing"},
    "failed": {"reopen": "doing"},
    "cancelled": {"reopen": "doing"},
}
EVENTS = ("start", "wait", "resume", "finish", "fail", "cancel", "reopen")
STEPS = {
    "planned": {"begin": "doing"},
    "doing": {"done": "done", "fail": "failed", "begin": "doing"},
    "done": {"begin": "doing"},
    "failed": {"begin": "doing"},
}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("status", STATUSES)
def test_an_event_leads_a_task_where_the_table_says(status: str, event: str) -> None:
    is_over = status not in OPEN
    task = replace(
        TASK,
        status=status,
        reason="r" if is_over else "",
        started_at=None if status == "todo" else BEFORE,
        ended_at=BEFORE if is_over else None,
    )
    after = TASKS[status].get(event)
    if after is None:
        with pytest.raises(IllegalTransition) as told:
            step_task(task, event, at=AT)
        assert f"T-0001 is {status} and cannot {event}; nothing was changed" in str(told.value)
        assert ("%task reopen T-0001" in told.value.hint) == is_over
        return
    assert step_task(task, event, at=AT, reason="why") == replace(
        task,
        status=after,
        reason="" if after in OPEN else "why",
        started_at=task.started_at or (AT if after == "doing" else None),
        ended_at=None if after in OPEN else AT,
    )


@pytest.mark.parametrize("event", ["begin", "done", "fail"])
@pytest.mark.parametrize("state", [*STEPS])
def test_an_event_leads_a_step_where_the_table_says(state: str, event: str) -> None:
    is_over = state in {"done", "failed"}
    step = replace(
        STEP,
        state=state,
        reason="r" if state == "failed" else "",
        started_at=None if state == "planned" else BEFORE,
        ended_at=BEFORE if is_over else None,
    )
    after = STEPS[state].get(event)
    if after is None:
        with pytest.raises(IllegalTransition, match=f"'load' of T-0001 is {state} and cannot"):
            step_step(step, event, at=AT)
    elif after == "doing":
        assert step_step(step, event, at=AT) == replace(
            step, state="doing", reason="", started_at=AT, ended_at=None
        )
    else:
        assert step_step(step, event, at=AT, reason="why") == replace(
            step, state=after, reason="why", ended_at=AT
        )


def test_a_step_that_is_begun_is_the_next_planned_one_of_its_name_or_a_new_one() -> None:
    planned = [STEP, replace(STEP, number=2, name="plot"), replace(STEP, number=4)]
    assert begin_step(planned, TASK, "load", parent=3) == replace(STEP, parent=3)
    begun = [replace(STEP, state="done"), *planned[1:]]
    assert begin_step(begun, TASK, "load", parent=None) == replace(STEP, number=4)
    new = StepRow(plan_id="local", task_id="T-0001", number=5, name="save", is_planned=False)
    assert begin_step(planned, TASK, "save", parent=None) == new
    assert begin_step([], TASK, "save", parent=2) == replace(new, number=1, parent=2)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a/b", "a/b"),
        ("--steps", "--steps"),
        ("  two\n\twords ", "two words"),
        ("a\0b", "ab"),
        ("\u202eright to left", "\u202eright to left"),
        ("x" * 5000, "x" * 5000),
        ("a\ud800b", "a\\ud800b"),
        ("listing", "listing"),
    ],
    ids=lambda text: repr(text)[:20],
)
def test_any_text_can_be_a_name(given: str, name: str) -> None:
    assert checked_name(given) == name


@pytest.mark.parametrize(
    "name",
    ["", "  \n", "\0", *sorted(RESERVED), "LIST", " show ", "x" * 5001],
    ids=lambda text: repr(text[:9]),
)
def test_a_name_that_says_nothing_or_is_a_verb_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        checked_name(name)


def test_types_are_those_of_the_table() -> None:
    assert [checked_type(kind) for kind in TYPES] == [*TYPES]
    for kind in ("", "Custom", "shell"):
        with pytest.raises(UsageError, match=r"there is no task type .*code-execution"):
            checked_type(kind)


def test_a_planned_step_is_done_again_under_its_own_row_but_never_inside_itself() -> None:
    for state in ("failed", "doing", "done"):
        before = replace(STEP, state=state)
        assert begin_step([before], TASK, "load", parent=None) == before
    mine = begin_step([replace(STEP, state="doing")], TASK, "load", parent=1, mine=[1])
    assert (mine.number, mine.parent, mine.is_planned) == (2, 1, False)
