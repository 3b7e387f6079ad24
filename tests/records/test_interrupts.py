"""An interrupt that is noted is there for whoever asks, and raised for nobody else."""

import os
import signal

import pytest

from flow_kernel.records.interrupts import NotedInterrupts


def interrupted() -> NotedInterrupts:
    """One that an interrupt has come to."""
    with NotedInterrupts() as noted:
        os.kill(os.getpid(), signal.SIGINT)
        while not noted.was_interrupted:
            pass
    return noted


def test_an_interrupt_is_noted_and_passed_on_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    noted = interrupted()
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        noted.pass_on()


def test_what_was_passed_on_to_a_handler_is_told_no_second_time() -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: told.append(number))
    try:
        noted = interrupted()
        noted.pass_on()
        noted.pass_on()
    finally:
        signal.signal(signal.SIGINT, before)
    assert told == [signal.SIGINT]


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with NotedInterrupts() as noted:
            pass
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        noted.pass_on()
    finally:
        signal.signal(signal.SIGINT, before)
