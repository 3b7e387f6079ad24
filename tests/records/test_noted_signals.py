"""Handlers of Python wait while something must not be torn, and are called and put back after."""

import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from flow_kernel.records.noted_signals import NotedSignals

if TYPE_CHECKING:
    from types import FrameType


class Rung(Exception):
    """What an alarm of a user's raises."""


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """The signals that handlers of the user's have heard; an alarm raises as well."""
    numbers = (signal.SIGALRM, signal.SIGUSR1, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    found: list[int] = []

    def hear(number: int, _: object) -> None:
        found.append(number)
        if number == signal.SIGALRM:
            raise Rung

    for number in numbers:
        signal.signal(number, hear)
    yield found
    after = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert after == dict.fromkeys(numbers, hear)


def test_what_comes_meanwhile_is_heard_afterwards_once_and_in_order(heard: list[int]) -> None:
    held = NotedSignals()
    with held:
        for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGUSR1):
            signal.raise_signal(number)
        assert heard == []
    assert heard == []
    held.pass_on()

    assert heard == [signal.SIGUSR1, signal.SIGINT]


def test_what_a_handler_raises_is_raised_after_it_and_only_there(heard: list[int]) -> None:
    done = []

    def step() -> None:
        held = NotedSignals()
        try:
            with held:
                signal.raise_signal(signal.SIGALRM)
                done.append("all of it")
        finally:
            held.pass_on()

    with pytest.raises(Rung):
        step()
    assert (done, heard) == (["all of it"], [signal.SIGALRM])


def test_a_handler_that_raises_at_any_step_leaves_all_in_its_place(heard: list[int]) -> None:
    halves = whole = raised = 0

    def ring(*_: object) -> None:
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame.f_code is not step.__code__:
            frame = frame.f_back
        if frame is not None:  # else the test itself would be torn
            raise Rung

    def step() -> None:
        nonlocal halves, whole
        held = NotedSignals()
        try:
            with held:
                halves += 1
                sum(range(100))
                whole += 1
        finally:
            held.pass_on()

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.00005)
    while raised < 300:
        try:
            step()
        except Rung:
            raised += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert signal.signal(signal.SIGALRM, before) is ring
    assert halves == whole


def test_an_interrupt_of_the_default_handler_is_raised_after_it() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    held = NotedSignals()
    try:
        with held:
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            held.pass_on()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_that_is_set_meanwhile_stays() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with NotedSignals():
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_other_threads_are_left_alone() -> None:
    def hold() -> None:
        with NotedSignals():
            found.append(signal.getsignal(signal.SIGINT))

    found: list[object] = []
    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()

    assert found == [signal.getsignal(signal.SIGINT)]
