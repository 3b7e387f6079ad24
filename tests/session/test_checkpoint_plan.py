"""What is saved again, and what is taken over from the capture before."""

from collections.abc import Iterable
from typing import Any

from flow_kernel.session.checkpoints.plan import (
    CULPRIT,
    Base,
    is_same,
    merged,
    noticed_late,
    planned,
)
from flow_kernel.session.checkpoints.sizes import SMALL_BYTES, is_small
from flow_kernel.session.checkpoints.tracking import is_ours


def group(*names: str, content: str = "0") -> dict[str, Any]:
    part = {"nbytes": 1, "chunks": [content]}
    return {"names": list(names), "stream": part, "buffers": [], "filled_in": []}


def base(*groups: dict[str, Any], left: Iterable[list[str]] = (), doubt: str | None = None) -> Base:
    names = [name for one in groups for name in one["names"]]
    return Base(
        groups=list(groups),
        summaries={name: {"type": "int"} for name in names},
        not_saved=list(left),
        idents={name: number for number, name in enumerate([*names, *(one[0] for one in left)])},
        statuses=dict.fromkeys(names, "tame"),
        loose=frozenset(names),
        doubt=doubt,
    )


def found(*groups: dict[str, Any], left: Iterable[list[str]] = ()) -> dict[str, Any]:
    names = [name for one in groups for name in one["names"]]
    return {
        "groups": list(groups),
        "summaries": {name: {"type": "str"} for name in names},
        "not_saved": list(left),
        "statuses": dict.fromkeys(names, "wild"),
        "loose": [],
        "bytes_new": 0,
    }


def test_everything_is_saved_the_first_time_and_where_everything_may_have_changed() -> None:
    assert planned(None, {"a": 1}, frozenset()).again == {"a"}
    assert planned(base(group("a"), group("b")), {"a": 0, "b": 1}, None).again == {"a", "b"}


def test_only_what_was_touched_rebound_or_born_is_saved_again() -> None:
    before = base(group("a"), group("b"), group("c"))
    plan = planned(before, {"a": 0, "b": 7, "c": 2, "d": 3}, frozenset(["a"]))
    assert plan.again == {"a", "b", "d"}
    assert plan.groups == [group("c")]


def test_names_that_share_something_are_saved_together_or_not_at_all() -> None:
    before = base(group("a", "b"), group("c", "d"))
    plan = planned(before, {"a": 0, "b": 1, "c": 2}, frozenset(["a"]))
    assert plan.again == {"a", "b", "c"}
    assert plan.groups == []


def test_what_could_not_be_saved_is_tried_again_once_it_was_touched() -> None:
    lock = ["x", "lock", "a lock"]
    before = base(group("a"), left=[lock])
    assert planned(before, {"a": 0, "x": 1}, frozenset()).not_saved == [lock]
    assert planned(before, {"a": 0, "x": 1}, frozenset(["x"])).again == {"x"}
    assert planned(before, {"a": 0, "x": 1}, None).again == {"a", "x"}


def test_what_hung_or_killed_its_writer_is_not_tried_again_while_it_is_the_same_object() -> None:
    hung = ["x", "Slow", f"{CULPRIT}took longer than 20 s"]
    before = base(group("a"), left=[hung])
    plan = planned(before, {"a": 0, "x": 1}, None)
    assert (plan.again, plan.not_saved) == ({"a"}, [hung])
    assert planned(before, {"a": 0, "x": 9}, None).again == {"a", "x"}


def test_what_was_taken_over_keeps_what_is_known_of_it() -> None:
    before = base(group("a"), group("b"), doubt="a library was patched")
    idents = {"a": 0, "b": 1}
    plan = planned(before, idents, frozenset(["b"]))
    now = merged(before, plan, found(group("b", content="1")), idents)
    assert now.groups == [group("a"), group("b", content="1")]
    assert now.summaries == {"a": {"type": "int"}, "b": {"type": "str"}}
    assert (now.statuses, now.doubt) == ({"a": "tame", "b": "wild"}, "a library was patched")
    assert now.loose == {"a"}
    assert not is_same(before, now)


def test_a_change_that_nobody_expected_is_noticed_by_a_look_at_everything() -> None:
    before = base(group("a"), group("b"))
    idents = {"a": 0, "b": 1}
    plan = planned(before, idents, None)
    now = merged(before, plan, found(group("a", content="1"), group("b", content="1")), idents)
    assert noticed_late(before, frozenset(["a"]), now) == ["b"]
    assert noticed_late(before, None, now) == []


def test_a_session_with_much_to_write_is_not_small() -> None:
    import numpy as np

    assert is_small([1, "text", [1, 2], {"a": [0]}, np.zeros(10)])
    assert not is_small([np.zeros(SMALL_BYTES // 8 + 1)])
    assert not is_small([[list(range(100))] * 10_000])


def test_cells_of_our_magics_alone_change_no_variable() -> None:
    assert is_ours("%checkpoint a\n\n%task step load  # the first\n")
    assert not is_ours("%checkpoint {name()}")
    assert not is_ours("x = %checkpoint a")
    assert not is_ours("%checkpoint a\nx = 1")
    assert not is_ours("%%approve Go?\nx = 1")
    assert not is_ours("")
