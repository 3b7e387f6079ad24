"""When a worker is interrupted, and when it is killed: decisions without any process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.session.isolation.patience import Patience, Seen, Step
from flow_kernel.workers.limits import Limits

ALL = [Step.INTERRUPT, Step.INTERRUPT_AGAIN, Step.TERMINATE, Step.KILL]


def steps(patience: Patience, *seen: Seen) -> list[list[Step]]:
    return [patience.next(each) for each in seen]


def test_nothing_is_done_to_a_cell_within_its_limits() -> None:
    patience = Patience(Limits(timeout_s=5, memory_bytes=10**9, cpu_s=5, processes=9))
    seen = Seen(elapsed_s=4.9, rss_bytes=10**8, cpu_s=4.9, processes=9, output_bytes=10**9)
    assert steps(patience, seen, seen) == [[], []]
    assert patience.cause is None


def test_a_limit_escalates_by_time() -> None:
    patience = Patience(Limits(timeout_s=1))
    found = steps(patience, *[Seen(elapsed_s=t) for t in (0.9, 1.1, 1.5, 2.2, 3.2, 4.2, 9.0)])
    assert found == [[], ALL[:1], [], ALL[1:2], ALL[2:3], ALL[3:], []]
    assert patience.cause == "timeout"


def test_a_person_has_more_patience_and_may_lose_it() -> None:
    patience = Patience(Limits())
    assert patience.next(Seen(elapsed_s=1, interrupts=1)) == ALL[:1]
    assert patience.next(Seen(elapsed_s=1.2, interrupts=1)) == []
    assert patience.next(Seen(elapsed_s=1.3, interrupts=2)) == ALL[1:2]
    assert patience.next(Seen(elapsed_s=1.4, interrupts=3)) == ALL[2:3]
    assert patience.next(Seen(elapsed_s=1.5, interrupts=4)) == ALL[3:]
    assert patience.cause == "user"


def test_memory_above_its_limit_is_ended_at_once() -> None:
    patience = Patience(Limits(memory_bytes=100))
    assert patience.next(Seen(elapsed_s=1, rss_bytes=90)) == []
    assert patience.next(Seen(elapsed_s=1, rss_bytes=95)) == ALL[:1]
    assert patience.next(Seen(elapsed_s=1, rss_bytes=101)) == ALL[3:]
    assert patience.cause == "memory"


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 6), st.integers(0, 200)), max_size=20))
def test_each_step_is_done_once_and_in_order(told: list[tuple[float, int, int]]) -> None:
    patience = Patience(Limits(timeout_s=5, memory_bytes=100))
    clock, interrupts, done = 0.0, 0, list[Step]()
    for elapsed, more, rss in told:
        clock += elapsed
        interrupts += more
        done += patience.next(Seen(elapsed_s=clock, interrupts=interrupts, rss_bytes=rss))
    numbers = [step.value for step in done]
    assert numbers == sorted(set(numbers))
    assert bool(done) == (patience.cause is not None)


@pytest.mark.parametrize(
    ("limit", "processes", "steps"),
    [
        (2, 30, [Step.INTERRUPT]),
        (2, 35, [Step.KILL]),
        (100, 200, [Step.INTERRUPT]),
        (100, 201, [Step.KILL]),
    ],
)
def test_what_forks_on_far_beyond_its_limit_is_killed_at_once(
    limit: int, processes: int, steps: list[Step]
) -> None:
    patience = Patience(Limits(processes=limit))
    assert patience.next(Seen(elapsed_s=0.1, processes=processes)) == steps
    assert patience.cause == "processes"


def test_a_flood_that_nobody_is_asked_about_is_killed_at_once() -> None:
    patience = Patience(Limits())
    seen = Seen(elapsed_s=0.1, is_blocked=True, is_flooding=True)
    assert (patience.next(seen), patience.cause) == ([Step.KILL], "blocked")


@pytest.mark.parametrize(
    ("limits", "processes", "steps"),
    [
        (Limits(storm=100), 100, []),
        (Limits(storm=100), 101, [Step.KILL]),
        # It may be a storm of others: a little above a small limit costs no worker.
        (Limits(processes=8), 9, [Step.INTERRUPT]),
        (Limits(processes=8), 33, [Step.KILL]),
    ],
)
def test_in_a_storm_more_than_the_limit_are_killed_at_once(
    limits: Limits, processes: int, steps: list[Step]
) -> None:
    patience = Patience(limits)
    seen = Seen(elapsed_s=0.1, processes=processes, is_storming=True)
    assert patience.next(seen) == steps


def test_a_storm_below_the_limit_hastens_no_interrupt() -> None:
    patience = Patience(Limits(storm=100))
    seen = Seen(elapsed_s=0.1, processes=90, is_storming=True, interrupts=1)
    assert patience.next(seen) == [Step.INTERRUPT]
