"""When a cell that takes memory is interrupted (pure)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.session.memory_watch import MemoryWatch, Seen, is_due, is_near, pace_s

GB = 10**9
FIRST = Seen(left_bytes=10 * GB, rss_bytes=GB)


def later(gone: float, grown: float) -> Seen:
    return Seen(left_bytes=int((10 - gone) * GB), rss_bytes=int((1 + grown) * GB))


@pytest.mark.parametrize(
    ("gone", "grown", "due"),
    [
        (9.4, 9.4, False),
        (9.5, 9.5, True),
        (9.5, 2.4, True),  # of four that grow each is one that grows
        (9.9, 2.3, False),  # another one has taken it
        (9.9, -0.5, False),
        (-3.0, 9.9, False),  # others have given back more
    ],
)
def test_a_cell_is_due_when_the_memory_is_gone_and_it_has_it(
    gone: float, grown: float, due: bool
) -> None:
    assert is_due(FIRST, None, later(gone, grown), 0.95) is due


def test_what_it_takes_until_the_next_look_counts() -> None:
    assert not is_due(FIRST, later(9.2, 9.2), later(9.3, 9.3), 0.95)
    assert is_due(FIRST, later(9.0, 9.0), later(9.3, 9.3), 0.95)


@pytest.mark.parametrize(
    ("had", "left", "due"), [(400, 66, False), (400, 63, True), (120, 61, False), (120, 59, True)]
)
def test_what_the_end_of_a_cell_takes_is_kept_where_there_is_little(
    had: int, left: int, due: bool
) -> None:
    first = Seen(left_bytes=had * 10**6, rss_bytes=0)
    now = Seen(left_bytes=left * 10**6, rss_bytes=had * 10**6)
    assert is_due(first, None, now, 0.95) is due


@given(st.floats(-20, 10), st.floats(-1, 20), st.floats(0.01, 1.0))
def test_nothing_is_due_that_was_not_near(gone: float, grown: float, at: float) -> None:
    now = later(gone, grown)
    if is_due(FIRST, None, now, at):
        assert is_near(FIRST, now, at)


@pytest.mark.parametrize(
    ("left", "pace"), [(None, 0.2), (100 * GB, 0.2), (GB, 0.05), (GB // 4, 0.0125), (0, 0.005)]
)
def test_the_less_is_left_the_sooner_it_is_looked_at(left: int | None, pace: float) -> None:
    assert pace_s(left) == pace


def test_a_session_that_wants_none_is_not_looked_at() -> None:
    def fail(*_: object) -> None:
        raise AssertionError("looked")

    watch = MemoryWatch(0.0, left=fail, rss=fail, say=fail)

    assert watch.look(lambda _: "cell") == watch.first_look_s == 0.2
