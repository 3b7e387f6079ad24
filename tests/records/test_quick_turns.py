"""The switch interval is short while it is held, and the user's own at all other times."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from flow_kernel.records.quick_turns import QuickTurns

THEIRS = 0.004


@pytest.fixture(autouse=True)
def interval() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(THEIRS)
    yield
    sys.setswitchinterval(before)


def now() -> float:
    return round(sys.getswitchinterval(), 6)


def test_turns_are_quick_in_the_block_and_the_users_own_behind_it() -> None:
    with QuickTurns().held():
        assert now() < 0.001

    assert now() == THEIRS


def test_an_error_or_an_interrupt_in_the_block_gives_the_interval_back() -> None:
    turns = QuickTurns()
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), turns.held():
            raise error

        assert now() == THEIRS


def test_nested_and_overlapping_holds_end_with_the_last_one() -> None:
    turns = QuickTurns()
    with turns.held():
        turns.begin("of another")
        with turns.held():
            assert now() < 0.001
        assert now() < 0.001
    assert now() < 0.001

    turns.end("of another")
    assert now() == THEIRS
    turns.end("of another")
    assert now() == THEIRS


def test_threads_that_hold_it_at_once_leave_the_users_interval() -> None:
    turns = QuickTurns()
    together = threading.Barrier(8)
    seen: list[float] = []

    def press() -> None:
        for _ in range(50):
            together.wait(30)
            with turns.held():
                seen.append(now())

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(seen), max(seen) < 0.001, now()) == (400, True, THEIRS)


def test_an_interval_that_the_user_sets_meanwhile_stays() -> None:
    turns = QuickTurns()
    with turns.held():
        sys.setswitchinterval(0.002)
        assert now() == 0.002

    assert now() == 0.002
    with turns.held():
        sys.setswitchinterval(0.003)
        with turns.held():  # another press
            assert now() < 0.001
    assert now() == 0.003


def test_a_shorter_interval_of_the_users_is_left_alone() -> None:
    sys.setswitchinterval(1e-5)

    with QuickTurns().held():
        assert now() == 1e-5

    assert now() == 1e-5


def test_ours_that_a_program_has_read_and_sets_again_later_is_known_for_ours() -> None:
    turns = QuickTurns()
    with turns.held():
        read = sys.getswitchinterval()
    sys.setswitchinterval(read)  # it believes to put things back

    with turns.held():
        pass

    assert now() == THEIRS


def in_a_child(look: Callable[[], bool]) -> bool:
    """What a forked child finds."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)  # a child that hangs ends
        os._exit(0 if look() else 1)
    return os.waitpid(pid, 0)[1] == 0


def test_a_child_that_is_forked_meanwhile_has_the_users_interval() -> None:
    sys.setswitchinterval(0.003)
    turns, other = QuickTurns(), QuickTurns()
    with other.held():
        pass  # long over: it has nothing to put back
    sys.setswitchinterval(THEIRS)
    turns.begin("of a thread that the child has not")
    try:
        assert in_a_child(lambda: now() == THEIRS)
        assert now() < 0.001
    finally:
        turns.end("of a thread that the child has not")


def test_a_child_that_is_forked_as_another_thread_begins_can_hold_it_and_give_it_back() -> None:
    def hold_once() -> bool:
        with turns.held():
            is_short = now() < 0.001
        return is_short and now() == THEIRS

    def keep() -> None:
        with turns._lock:
            is_kept.set()
            is_over.wait(30)

    turns = QuickTurns()
    is_kept, is_over = threading.Event(), threading.Event()
    thread = threading.Thread(target=keep)
    thread.start()
    try:
        assert is_kept.wait(30)
        assert in_a_child(hold_once)
    finally:
        is_over.set()
        thread.join()
