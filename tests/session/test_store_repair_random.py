"""Whatever was done, a store that is made anew holds what the old one held."""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hypothesis import example, given
from hypothesis import strategies as st

from flow_kernel.records.home import Home
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.store_repair import repair_store
from flow_kernel.store.contract import ApprovalRow, StepRow, Writing
from tests.records.journals import few
from tests.store.stores import AT, task_row

_PLANS: Final = ("local", "other")
_KEYS: Final = ("k", "l", "größe")
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(-1, 1)
    | st.text("aé\n\"' ", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xy"), inner, max_size=2),
    max_leaves=4,
)
_NUMBERS = st.integers(1, 3)
_ACTIONS = st.one_of(
    st.tuples(st.just("task"), st.sampled_from(_PLANS), st.sampled_from(("doing", "failed"))),
    st.tuples(st.just("again"), _NUMBERS, st.sampled_from(("done", "doing", "cancelled"))),
    st.tuples(st.just("step"), _NUMBERS, _NUMBERS, st.sampled_from(("planned", "doing", "done"))),
    st.tuples(st.just("log"), _NUMBERS, st.text("ab", max_size=3)),
    st.tuples(st.just("set"), _NUMBERS, st.dictionaries(st.sampled_from(_KEYS), _VALUES)),
    st.tuples(st.just("replace"), _NUMBERS, st.dictionaries(st.sampled_from(_KEYS), _VALUES)),
    st.tuples(st.just("tag"), _NUMBERS, st.sampled_from("tu"), st.booleans()),
    st.tuples(st.just("ask"), _NUMBERS, st.sampled_from(("open", "approved", "rejected"))),
    st.tuples(st.just("answer"), _NUMBERS, st.sampled_from(("approved", "skipped")), st.booleans()),
    st.tuples(st.just("open"), st.sampled_from(("nb1", "nb2")), st.integers(0, 3)),
    st.tuples(st.just("carry")),
)


@few
@given(st.lists(_ACTIONS, max_size=25), st.integers(0, 40))
@example([("task", "local", "doing")] * 6 + [("set", 1, {"k": None})], 7)  # its name is lost
def test_a_store_is_the_same_after_it_was_lost_and_made_anew(
    actions: list[tuple[Any, ...]], page: int
) -> None:
    """All changes are in the logs; the file is deleted, or one of its pages is empty."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / ".flow")
        before = _worked(home, actions, carries=True)
        data = home.store_path.read_bytes()
        start = page * 4096
        if page == 0 or start >= len(data):
            home.store_path.unlink()
        else:
            home.store_path.write_bytes(data[:start] + bytes(4096) + data[start + 4096 :])
        repair_store(home, at=AT)
        after = _state_of(home)

        assert {**after, "approvals": None} == {**before, "approvals": None}
        assert [_used(row) for row in after["approvals"]] == [
            _used(row) for row in before["approvals"]
        ]
        reopened = [
            new
            for old, new in zip(before["approvals"], after["approvals"], strict=True)
            if old.is_used and not new.is_used
        ]
        assert reopened == []


@few
@given(st.lists(_ACTIONS, max_size=25))
def test_a_store_of_which_only_the_first_bytes_are_lost_keeps_what_no_log_holds(
    actions: list[tuple[Any, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / ".flow")
        before = _worked(home, actions, carries=False)
        home.store_path.write_bytes(b"X" + home.store_path.read_bytes()[1:])

        done = repair_store(home, at=AT)

        assert done is not None
        assert done.lost == []
        assert _state_of(home) == before


def _worked(home: Home, actions: list[tuple[Any, ...]], *, carries: bool) -> dict[str, Any]:
    flow = flow_of(home, author="ann")
    for n in range(3):
        with flow.store.write() as change:
            change.put_task(task_row(change.new_task_id("local"), name=f"task {n}"), at=AT)
    for verb, *arguments in actions:
        if verb == "carry":
            flow.sync()
        elif verb in ("set", "replace"):
            number, values = arguments
            flow.update_task_context(f"T-{number:04}", values, merge=verb == "set")
        else:
            with flow.store.write() as change:
                _VERBS[verb](change, *arguments)
    if carries:
        flow.close()
    before = _state_of(home, None if carries else flow)
    flow._on_close()  # the journal; a second `close` would carry
    flow.store.close()
    return before


def _task(change: Writing, plan_id: str, status: str) -> None:
    row = task_row(change.new_task_id(plan_id), plan_id=plan_id, status=status)
    change.put_task(row, at=AT)


def _again(change: Writing, number: int, status: str) -> None:
    change.put_task(task_row(f"T-{number:04}", status=status, reason="why"), at=AT)


def _step(change: Writing, task: int, number: int, state: str) -> None:
    row = StepRow(
        plan_id="local", task_id=f"T-{task:04}", number=number, name="s", state=state, parent=1
    )
    change.put_step(row, at=AT)


def _log(change: Writing, task: int, text: str) -> None:
    change.note("step", "local", f"T-{task:04}", AT, {"step": None, "log": text, "author": "ann"})


def _tag(change: Writing, task: int, tag: str, is_set: bool) -> None:
    change.put_tag("local", f"T-{task:04}", tag, is_set=is_set, at=AT)


def _ask(change: Writing, task: int, status: str) -> None:
    row = ApprovalRow(
        approval_id=change.new_approval_id(),
        plan_id="local",
        task_id=f"T-{task:04}",
        step=None,
        message="sure?",
        code_sha256=None,
        payload_sha256=None,
        approval_hash="c" * 64,
        level="advisory",
        status=status,
        requested_by="ann",
        requested_at=AT,
        session="5e" * 16,
    )
    change.put_approval(row, at=AT)


def _answer(change: Writing, number: int, status: str, is_used: bool) -> None:
    row = change.approval(f"A-{number:04}")
    if row is not None and not row.is_used:
        change.put_approval(replace(row, status=status, is_used=is_used), at=AT)


def _open(change: Writing, notebook: str, task: int) -> None:
    change.put_resumable(notebook, "local", f"T-{task:04}" if task else None)


_VERBS: Final[dict[str, Callable[..., None]]] = {
    "task": _task,
    "again": _again,
    "step": _step,
    "log": _log,
    "tag": _tag,
    "ask": _ask,
    "answer": _answer,
    "open": _open,
}


def _used(row: ApprovalRow) -> ApprovalRow:
    is_answered = row.status in ("approved", "skipped")
    return replace(row, is_used=True) if is_answered else row


def _state_of(home: Home, flow: Flow | None = None) -> dict[str, Any]:
    own = flow or flow_of(home)
    with own.store.read() as view:
        tasks = view.tasks()
        places = [(row.plan_id, row.task_id) for row in tasks]
        found = {
            "tasks": tasks,
            "steps": [view.steps(*place) for place in places],
            "context": [view.context(*place) for place in places],
            "history": [view.context_history(*place, key) for place in places for key in _KEYS],
            "tags": [view.tags(*place) for place in places],
            "approvals": view.approvals(),
            "resumable": [view.resumable(name) for name in ("nb1", "nb2")],
        }
    if flow is None:
        own.close()
    return found
