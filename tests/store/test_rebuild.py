"""Changes add up to a state in whatever order they are found; what they do not tell is listed."""

from typing import Any, Final

import pytest

from flow_kernel.store.contract import Change
from flow_kernel.store.rebuild import Lost, State, in_order, rebuilt
from tests.store.stores import AT

_TASK: Final = {"name": "clean", "status": "doing"}


def test_the_last_change_of_a_store_stands_however_the_clock_was_put() -> None:
    noon, morning = "2026-11-21T12:00:00.000Z", "2026-11-21T08:00:00.000Z"
    changes = [
        _change(3, "context", at=morning, key="k", value="last", is_set=True, author="ann"),
        _change(1, "task", at=noon, **_TASK),
        _change(2, "context", at=noon, key="k", value="first", is_set=True, author="ann"),
    ]
    for order in (changes, changes[::-1]):
        assert _context(_state(*order)) == {"k": "last"}


def test_a_store_follows_the_one_that_began_before_it() -> None:
    first = _change(1, "task", store="b", at="2026-11-20T00:00:00.000Z", **_TASK)
    early = _change(9, "task", store="b", at="2026-11-22T00:00:00.000Z", **_TASK)
    then = _change(1, "task", store="a", at="2026-11-21T00:00:00.000Z", **_TASK)
    assert in_order([then, early, first, then]) == [first, early, then]


def test_runs_of_changes_that_are_in_no_log_are_listed() -> None:
    numbers = (1, 2, 5, 6, 8)
    state = _state(*(_change(number, "tag", tag="t", is_set=True) for number in numbers))
    assert [item for item in state.lost if item.what == "changes"] == [
        Lost("changes", "", "3 to 4", "in no log"),
        Lost("changes", "", "7", "in no log"),
    ]


def test_a_value_that_was_set_again_is_not_lost_with_the_one_before_it() -> None:
    masked = {"key": "k", "value": "[REDACTED:token]", "is_set": True, "redacted": 1}
    plain = {"key": "k", "value": 1, "is_set": True, "author": "ann"}
    task = _change(1, "task", **_TASK)

    lost = _state(task, _change(2, "context", **plain), _change(3, "context", **masked))
    assert (_context(lost), [item[:3] for item in lost.lost]) == (
        {},
        [("context", "local/T-0001", "k")],
    )
    found = _state(task, _change(2, "context", **masked), _change(3, "context", **plain))
    assert (_context(found), found.lost) == ({"k": 1}, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "task", "name": "x"},
        {"kind": "step", "number": "one", "name": "s"},
        {"kind": "context", "key": 3, "is_set": True},
        {"kind": "tag"},
        {"kind": "approval", "approval_id": "A-0001", "status": "approved"},
        {"kind": "cell", "code": "1"},
    ],
    ids=lambda fields: str(fields["kind"]),
)
def test_a_record_that_lacks_its_fields_is_passed_over(fields: dict[str, Any]) -> None:
    state = _state(_change(1, **fields))
    assert (state.approvals, state.steps, _context(state)) == ({}, {}, {})


def _state(*changes: Change) -> State:
    return rebuilt(changes, sure=lambda _row: False)


def _change(change: int, kind: str, *, store: str = "", at: str = AT, **fields: Any) -> Change:
    return Change(
        number=change,
        kind=kind,
        plan_id="local",
        task_id="T-0001",
        at=at,
        fields=fields,
        store_id=store,
    )


def _context(state: State) -> dict[str, object]:
    held = state.context.get(("local", "T-0001"), {})
    return {key: value.value for key, value in held.items()}
