"""Where the boxes of a workflow stand."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workflow.layout import Link, layout_of, ranks_of
from flow_kernel.workflow.model import OnError, Step


def step(name: str, *needs: str, handler: str = "") -> Step:
    on_error = OnError.GOTO if handler else OnError.STOP
    return Step(id=name, name=name, needs=needs, handler=handler, on_error=on_error)


def test_the_rank_of_a_step_is_the_longest_chain_to_it() -> None:
    steps = [step("a"), step("b", "a"), step("c", "b", "a"), step("d"), step("e", "d", "a")]

    assert ranks_of(steps) == [["a", "d"], ["b", "e"], ["c"]]


def test_a_handler_stands_below_what_it_handles() -> None:
    found = layout_of([step("a"), step("b", "a", handler="h"), step("h")])

    assert found is not None
    assert found.ranks == (("a",), ("b",), ("h",))
    assert [line.link for line in found.lines] == [Link("a", "b"), Link("b", "h", is_failure=True)]


def test_links_that_others_imply_are_left_out() -> None:
    found = layout_of([step("a"), step("b", "a"), step("c", "b", "a")])

    assert found is not None
    assert [line.link for line in found.lines] == [Link("a", "b"), Link("b", "c")]


def test_a_chain_is_straight_and_a_long_link_bends_around_what_stands_between() -> None:
    chain = layout_of([step("a"), step("b", "a"), step("c", "b")])
    around = layout_of([step("a"), step("b", "a"), step("c"), step("d", "b", "c"), step("e", "c")])

    assert chain is not None
    assert around is not None
    assert {*chain.places.values()} == {0.5}
    (long,) = [line for line in around.lines if line.link == Link("c", "d")]
    assert len(long.bends) == 1
    beside = {name: around.places[name] for name in around.ranks[1]}
    assert min(abs(long.bends[0] - place) for place in beside.values()) >= 0.7 - 1e-9


@st.composite
def workflows(draw: st.DrawFn) -> list[Step]:
    names = [f"s{number}" for number in range(draw(st.integers(1, 14)))]
    return [
        step(name, *(each for each in names[:place] if draw(st.integers(0, 3)) == 0))
        for place, name in enumerate(names)
    ]


@given(workflows())
def test_no_box_overlaps_another_and_lines_go_on_to_later_ranks(steps: list[Step]) -> None:
    found = layout_of(steps)

    assert found is not None
    assert sorted(name for names in found.ranks for name in names) == sorted(s.id for s in steps)
    for names in found.ranks:
        places = [found.places[name] for name in names]
        assert all(after - before >= 1 - 1e-9 for before, after in pairwise(places))
        assert all(0.5 - 1e-9 <= place <= found.breadth - 0.5 + 1e-9 for place in places)
    rank = {name: number for number, names in enumerate(found.ranks) for name in names}
    for line in found.lines:
        assert len(line.bends) == rank[line.link.target] - rank[line.link.source] - 1 >= 0


def test_a_crowd_has_no_layout_but_ranks() -> None:
    steps = [step("s0"), *(step(f"s{n}", f"s{n - 1}") for n in range(1, 10_000))]
    crowd = [*(step(f"a{n}") for n in range(99)), *(step(f"b{n}", *_all(99)) for n in range(99))]

    assert layout_of(steps) is None
    assert layout_of(crowd) is None  # nobody can follow 9,801 lines
    assert len(ranks_of(steps)) == 10_000


def _all(count: int) -> list[str]:
    return [f"a{number}" for number in range(count)]
