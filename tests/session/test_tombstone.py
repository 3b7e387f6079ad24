"""What stands in the place of a lost value says so at any touch."""

import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from flow_kernel.errors import FlowError
from flow_kernel.session.checkpoints.tombstone import NotRestored, Tombstone, explain

TOUCHES: dict[str, Callable[[Any], object]] = {
    "attribute": lambda t: t.send,
    "call": lambda t: t(),
    "next": next,
    "iter": list,
    "len": len,
    "bool": bool,
    "item": lambda t: t[0],
    "in": lambda t: 1 in t,
    "add": lambda t: t + 1,
    "add to": lambda t: 1 + t,
    "matmul": lambda t: [1] @ t,
    "power": lambda t: 2**t,
    "less": lambda t: t < 1,
    "equal": lambda t: t == 1,
    "unequal": lambda t: t != 1,
    "float": float,
    "index": lambda t: [1][t],
    "negative": operator.neg,
    "set": lambda t: setattr(t, "x", 1),
    "delete": lambda t: delattr(t, "x"),
    "reversed": reversed,
}


@pytest.mark.parametrize("name", TOUCHES)
def test_each_touch_raises_what_it_was_and_how_it_is_made_again(name: str) -> None:
    lost = Tombstone("g", "a generator; it was made by record 6")
    explain(lost, "to make it again, run cell [3]")

    with pytest.raises(NotRestored) as raised:
        TOUCHES[name](lost)

    assert isinstance(raised.value, FlowError)
    assert str(raised.value) == (
        "g was not restored: a generator; it was made by record 6; to make it again, run cell [3]"
    )


def test_with_blocks_and_await_are_touches(recwarn: pytest.WarningsRecorder) -> None:
    lost = Tombstone("f", "an open file")

    async def wait() -> None:
        await lost  # type: ignore[misc]  # it is none

    with pytest.raises(NotRestored), lost:  # type: ignore[attr-defined]  # it is none
        pass
    with pytest.raises(NotRestored):
        wait().send(None)
    assert len(recwarn) == 0


def test_it_can_be_looked_at_and_held_in_containers() -> None:
    lost = Tombstone("g", "a generator")

    assert repr(lost) == str(lost) == f"{lost}" == "<g was not restored: a generator>"
    assert {lost: 1}[lost] == 1
    assert lost in [lost]


def test_pickle_is_told_why_it_cannot_be_saved() -> None:
    with pytest.raises(pickle.PicklingError, match="g was not restored: a generator"):
        pickle.dumps(Tombstone("g", "a generator"))
