"""Our failures stay ours, and Ctrl-C stays the cell's."""

import os
import signal
import threading

import pytest

from flow_kernel.shell.taps.guard import Guard, HeldInterrupts


def fail(error: type[BaseException]) -> None:
    raise error("broken")


def test_a_failure_is_counted_and_swallowed() -> None:
    detached: list[str] = []
    guard = Guard(detached.append)
    for error in (ValueError, SystemExit, RecursionError):
        assert guard(fail, error) is None
        assert guard(lambda: 5) == 5
    assert guard.failures == 3
    assert detached == []


def test_three_failures_in_a_row_detach_us() -> None:
    detached: list[str] = []
    guard = Guard(detached.append)
    for _ in range(3):
        guard(fail, ValueError)
    assert len(detached) == 1
    assert "ValueError: broken" in detached[0]


def test_ctrl_c_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        Guard(lambda _: None)(fail, KeyboardInterrupt)


def test_an_interrupt_waits_until_our_work_is_done() -> None:
    before = signal.getsignal(signal.SIGINT)
    with HeldInterrupts() as held:
        os.kill(os.getpid(), signal.SIGINT)
        while not held.was_interrupted:
            pass
        done = True
    assert done
    assert held.was_interrupted
    assert signal.getsignal(signal.SIGINT) is before


def test_a_handler_of_the_user_gets_the_interrupt_afterwards() -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: got.append(number))
    try:
        with HeldInterrupts() as held:
            os.kill(os.getpid(), signal.SIGINT)
            while not held.was_interrupted:
                pass
            assert got == []
        assert got == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_have_nothing_to_hold() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def work() -> None:
        with HeldInterrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
