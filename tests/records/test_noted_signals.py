"""Handlers of Python wait while something must not be torn, and are called and put back after."""

import signal
import threading
from collections.abc import Iterator

import pytest

from flow_kernel.records.noted_signals import NotedSignals
from tests.strikes import Struck, strikes


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


# What is raised in a finalizer, which may run at any step as well, Python shows and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_raises_at_any_step_leaves_all_in_its_place() -> None:
    halves = whole = raised = 0

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

    with strikes(step):
        while raised < 300:
            try:
                step()
            except Struck:
                raised += 1
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
