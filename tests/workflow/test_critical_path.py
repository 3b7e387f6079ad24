"""The critical path: the chain of steps that the length of a run is due to."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workflow.critical_path import CriticalPath, critical_path


def test_the_path_is_the_longest_chain_of_times() -> None:
    needs = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []}
    times = {"a": 10.0, "b": 200.0, "c": 50.0, "d": 5.0, "e": 214.0}

    assert critical_path(needs, times) == CriticalPath(("a", "b", "d"), 215.0)


def test_a_step_without_a_time_is_passed_through_and_ends_no_path() -> None:
    needs = {"kept": [], "a": ["kept"], "question": ["a"], "b": ["question"], "left": ["b"]}
    times = {"kept": None, "a": 10.0, "question": None, "b": 20.0}

    assert critical_path(needs, times) == CriticalPath(("a", "question", "b"), 30.0)


def test_nothing_that_ran_has_no_path() -> None:
    assert critical_path({}, {}) == CriticalPath((), 0.0)
    assert critical_path({"a": [], "b": ["a"]}, {"a": None}) == CriticalPath((), 0.0)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, float]]:
    count = draw(st.integers(1, 9))
    names = [f"s{number}" for number in range(count)]
    needs = {
        name: [each for each in names[:place] if draw(st.booleans())]
        for place, name in enumerate(names)
    }
    return needs, {name: draw(st.integers(0, 5)) / 1.0 for name in names}


@given(graphs())
def test_no_chain_is_longer_and_the_path_is_one(
    graph: tuple[dict[str, list[str]], dict[str, float]],
) -> None:
    needs, times = graph

    def longest(name: str) -> float:
        return times[name] + max((longest(each) for each in needs[name]), default=0.0)

    found = critical_path(needs, times)

    assert found.elapsed_ms == max(map(longest, needs)) == sum(times[each] for each in found.steps)
    assert all(before in needs[after] for before, after in pairwise(found.steps))
