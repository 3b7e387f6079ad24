"""When a cell that takes memory is interrupted (pure)."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.session.memory_watch import MemoryWatch, Seen, is_due, is_near, pace_s

GB = 10**9
MB = 10**6
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


class Machine:
    """Memory of a machine that one process takes; says how often each of its files is read."""

    def __init__(self) -> None:
        self.taken = 0
        self.reads = 0

    def left(self) -> int:
        self.reads += 1
        return 300 * MB - self.taken

    def rss(self) -> int:
        return 80 * MB + self.taken

    def watch(self) -> MemoryWatch:
        return MemoryWatch(0.95, left=self.left, rss=self.rss, say=lambda _: None, peak=self.rss)


def test_near_the_end_the_growth_of_the_process_alone_is_looked_at() -> None:
    machine = Machine()
    watch, reads = machine.watch(), list[int]()
    for taken in (0, 120, 121, 122, 123, 124, 125, 126):
        machine.taken = taken * MB
        watch.look(lambda _: "cell")
        reads.append(machine.reads)
    assert reads == [1, 2, 2, 2, 2, 2, 3, 3]


def test_growth_that_is_seen_alone_interrupts() -> None:
    sent: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: sent.append(number))
    machine = Machine()
    watch = machine.watch()
    try:
        for taken in (0, 180, 200, 240):
            machine.taken = taken * MB
            watch.look(lambda _: "cell")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (sent, machine.reads) == ([signal.SIGINT], 2)


def test_what_others_take_is_read_where_the_process_does_not_grow() -> None:
    machine = Machine()
    watch = machine.watch()
    for _ in range(3):
        machine.taken = 0 if machine.reads == 0 else 150 * MB
        watch.look(lambda _: "cell")
    assert machine.reads == 3


def test_where_little_is_left_the_next_cell_is_looked_at_soon() -> None:
    machine = Machine()
    watch = machine.watch()
    watch.look(lambda _: "cell")
    assert watch.look(lambda _: None) == pace_s(300 * MB)
