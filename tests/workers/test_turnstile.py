"""Threads that wait for their turn: who is let in, who gives up, and who is told why not."""

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers.limits import Requirements
from flow_kernel.workers.turnstile import Turnstile

DEADLINE_S = 20.0


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def turnstile(most: int = 1, *named: str) -> Turnstile:
    return made(most, lambda: named)


def made(most: int, named: Callable[[], Collection[str]]) -> Turnstile:
    return Turnstile(
        most=most, memory_bytes=lambda: 100, named=named, cores=lambda: 4.0, free_bytes=lambda: 50
    )


def test_a_second_cell_waits_until_the_first_has_left(threads: ThreadPoolExecutor) -> None:
    turns, told, entered = turnstile(), threading.Event(), threading.Event()

    def second() -> None:
        with turns.turn(worker=None, on_wait=lambda _: told.set()):
            entered.set()

    with turns.turn(worker=None):
        done = threads.submit(second)
        assert told.wait(DEADLINE_S)
        assert turns.queue == 1
        assert not entered.is_set()
    done.result(DEADLINE_S)
    assert entered.is_set()
    assert turns.queue == 0


def test_the_greatest_priority_goes_first(threads: ThreadPoolExecutor) -> None:
    turns, order = turnstile(), list[int]()
    waits = [threading.Event() for _ in range(3)]

    def enter(priority: int, waits: threading.Event) -> None:
        with turns.turn(worker=None, priority=priority, on_wait=lambda _: waits.set()):
            order.append(priority)

    with turns.turn(worker=None):
        done = []
        for priority, event in zip((0, -1, 5), waits, strict=True):
            done.append(threads.submit(enter, priority, event))
            assert event.wait(DEADLINE_S)
    for each in done:
        each.result(DEADLINE_S)
    assert order == [5, 0, -1]


def test_who_is_cancelled_while_it_waits_keeps_nobody(threads: ThreadPoolExecutor) -> None:
    turns, told, is_wanted = turnstile(), threading.Event(), threading.Event()
    is_wanted.set()

    def second() -> None:
        with turns.turn(worker=None, is_wanted=is_wanted.is_set, on_wait=lambda _: told.set()):
            raise AssertionError("it was cancelled")

    with turns.turn(worker=None):
        done = threads.submit(second)
        assert told.wait(DEADLINE_S)
        is_wanted.clear()
        turns.look_again()
        with pytest.raises(IsolationUnavailable, match="cancelled before it began"):
            done.result(DEADLINE_S)
        assert turns.queue == 0


def test_a_cell_that_somebody_waits_for_waits_for_no_other_such() -> None:
    turns = turnstile(3, "a")
    with turns.turn(worker="a"), pytest.raises(IsolationUnavailable, match="is busy"):
        turns.turn(worker="a").__enter__()


def test_what_can_never_be_is_refused_at_once() -> None:
    turns = turnstile(1, "idle")
    with pytest.raises(IsolationUnavailable, match=r"1 workers already.*max_workers"):
        turns.turn(worker="other").__enter__()
    with pytest.raises(IsolationUnavailable, match="memory_budget"):
        turns.turn(worker="idle", needs=Requirements(memory_bytes=101)).__enter__()
    with turns.turn(worker="idle", needs=Requirements(memory_bytes=100)):
        pass


def test_who_leaves_wakes_the_next_one_and_not_all_the_others() -> None:
    looks: list[int] = []

    def named() -> tuple[str, ...]:
        looks.append(1)
        return ()

    turns = made(1, named)
    told, entered, may_leave = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def wait() -> None:
        with turns.turn(worker=None, is_background=True, on_wait=lambda _: told.release()):
            entered.release()
            may_leave.wait(DEADLINE_S)

    with ThreadPoolExecutor(20) as threads:
        with turns.turn(worker=None):
            done = [threads.submit(wait) for _ in range(20)]
            assert all(told.acquire(timeout=DEADLINE_S) for _ in done)
            before = len(looks)
        assert entered.acquire(timeout=DEADLINE_S)
        assert len(looks) - before <= 25  # each may look once as it begins to wait
        assert turns.queue == 19
        may_leave.set()
        for each in done:
            each.result(DEADLINE_S)
    assert len(looks) <= 150


def test_who_waits_in_the_background_is_let_in_where_a_worker_with_a_name_is_gone() -> None:
    named, told = ["a", "b"], threading.Event()
    turns = made(2, lambda: named)

    def wait() -> None:
        with turns.turn(worker=None, is_background=True, on_wait=lambda _: told.set()):
            pass

    with ThreadPoolExecutor(1) as threads, turns.turn(worker="a"):
        done = threads.submit(wait)
        assert told.wait(DEADLINE_S)
        named.remove("b")
        turns.look_again()
        done.result(DEADLINE_S)


def test_the_end_of_the_session_lets_nobody_in(threads: ThreadPoolExecutor) -> None:
    turns, told = turnstile(), threading.Event()

    def second() -> None:
        with turns.turn(worker=None, on_wait=lambda _: told.set()):
            raise AssertionError("the session has ended")

    with turns.turn(worker=None):
        done = threads.submit(second)
        assert told.wait(DEADLINE_S)
        turns.close()
        with pytest.raises(IsolationUnavailable, match="the session has ended"):
            done.result(DEADLINE_S)


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        (Requirements(cores=5), "5 processors, and this machine has 4"),
        (Requirements(disk_bytes=51), "51 B on the disk of the working directory, where 50 B"),
    ],
)
def test_what_the_machine_has_not_is_refused_at_once(needs: Requirements, reason: str) -> None:
    turns = turnstile(3)
    with turns.turn(worker=None), pytest.raises(IsolationUnavailable, match=reason):
        turns.turn(worker=None, needs=needs).__enter__()


@pytest.mark.parametrize("needs", [Requirements(cores=2.5), Requirements(disk_bytes=30)])
def test_what_is_promised_to_another_cell_is_waited_for(
    needs: Requirements, threads: ThreadPoolExecutor
) -> None:
    turns, told, entered = turnstile(3), threading.Event(), threading.Event()

    def second() -> None:
        with turns.turn(worker=None, needs=needs, on_wait=lambda _: told.set()):
            entered.set()

    with turns.turn(worker=None, needs=needs):
        done = threads.submit(second)
        assert told.wait(DEADLINE_S)
        with turns.turn(worker=None):  # wants nothing of the kind
            assert not entered.is_set()
    done.result(DEADLINE_S)
    assert entered.is_set()


def test_who_waits_for_a_disk_that_stays_full_is_refused_then(
    threads: ThreadPoolExecutor,
) -> None:
    free, told = [50], threading.Event()
    turns = Turnstile(
        most=3, memory_bytes=lambda: 0, named=lambda: (), cores=lambda: 1.0,
        free_bytes=lambda: free[0],
    )  # fmt: skip
    needs = Requirements(disk_bytes=30)

    def second() -> None:
        with turns.turn(worker=None, needs=needs, on_wait=lambda _: told.set()):
            raise AssertionError("there is no room")

    with turns.turn(worker=None, needs=needs):
        done = threads.submit(second)
        assert told.wait(DEADLINE_S)
        free[0] = 20  # what the first has written stays
    with pytest.raises(IsolationUnavailable, match="where 20 B are free"):
        done.result(DEADLINE_S)
