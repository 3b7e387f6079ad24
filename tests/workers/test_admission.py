"""Who is next among the cells that wait for a worker."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workers.admission import Room, Wanted, is_hopeless, next_of
from tests.records.journals import many

EMPTY = Room(workers=2, memory_bytes=100, is_empty=True, named=(), busy=())


def want(ticket: int, **more: object) -> Wanted:
    return Wanted(ticket=ticket, **more)  # type: ignore[arg-type]  # each test says which


@pytest.mark.parametrize(
    ("waiting", "room", "ticket"),
    [
        ([], EMPTY, None),
        ([want(1), want(2)], EMPTY, 1),
        ([want(1), want(2, priority=1)], EMPTY, 2),
        ([want(1, priority=-1), want(2)], EMPTY, 2),
        ([want(1, is_background=True), want(2)], EMPTY, 2),
        ([want(1, is_background=True, worker="a"), want(2, worker="a")], EMPTY, 1),
        ([want(1, is_background=True, priority=1), want(2)], EMPTY, 1),
        ([want(1, worker="a"), want(2)], replace(EMPTY, named=["a"], busy=["a"]), 2),
        ([want(1), want(2, worker="a")], replace(EMPTY, workers=0, named=["a"]), 2),
        ([want(1), want(2, worker="b")], replace(EMPTY, workers=0, named=["a"]), None),
        ([want(1, memory_bytes=101), want(2)], EMPTY, 2),
        ([want(1, memory_bytes=101), want(2, memory_bytes=1)], EMPTY, None),
        ([want(1, memory_bytes=100)], EMPTY, 1),
        ([want(1), want(2, memory_bytes=5)], replace(EMPTY, memory_bytes=0), 1),
        ([want(1, cores=3), want(2, cores=1), want(3)], replace(EMPTY, cores=2), 3),
        ([want(1, cores=3), want(2, memory_bytes=1)], replace(EMPTY, cores=2), 2),
        ([want(1, cores=3, disk_bytes=1), want(2, disk_bytes=1)], replace(EMPTY, cores=2), None),
        ([want(1, cores=2, disk_bytes=9)], replace(EMPTY, cores=2, disk_bytes=9), 1),
    ],
)
def test_the_greatest_priority_is_first_and_then_who_came_first(
    waiting: list[Wanted], room: Room, ticket: int | None
) -> None:
    found = next_of(waiting, room)
    assert (None if found is None else found.ticket) == ticket


def test_a_cell_waits_for_nothing_where_nothing_will_end() -> None:
    full = replace(EMPTY, workers=0, named=["a"])
    assert is_hopeless(want(1), full)
    assert is_hopeless(want(1, worker="b"), full)
    assert not is_hopeless(want(1, worker="a"), full)
    assert not is_hopeless(want(1), replace(full, is_empty=False))
    assert not is_hopeless(want(1), EMPTY)


cells = st.builds(
    Wanted,
    ticket=st.just(0),
    priority=st.integers(-2, 2),
    worker=st.sampled_from([None, "a", "b"]),
    memory_bytes=st.sampled_from([0, 0, 30, 60]),
)


@many
@given(st.lists(cells, max_size=12), st.integers(1, 3))
def test_everybody_is_served_once_and_nothing_is_promised_twice(
    asked: list[Wanted], most: int
) -> None:
    """Nobody waits for ever: whoever is inside leaves, oldest first."""
    waiting = [replace(one, ticket=number) for number, one in enumerate(asked, 1)]
    inside: list[Wanted] = []
    served: list[int] = []
    for _ in range(200):
        busy = [one.worker for one in inside if one.worker]
        unnamed = sum(one.worker is None for one in inside)
        room = Room(
            workers=most - len(busy) - unnamed,
            memory_bytes=60 - sum(one.memory_bytes for one in inside),
            is_empty=not inside,
            named=busy,
            busy=busy,
        )
        found = next_of(waiting, room)
        if found is not None:
            waiting.remove(found)
            inside.append(found)
            served.append(found.ticket)
            assert len(inside) <= most
            assert len({one.worker for one in inside if one.worker}) == sum(
                one.worker is not None for one in inside
            )
            assert sum(one.memory_bytes for one in inside) <= 60
        elif inside:
            inside.pop(0)
        else:
            break
    assert waiting == []
    assert sorted(served) == [*range(1, len(asked) + 1)]
