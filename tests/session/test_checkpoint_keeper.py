"""An interrupt at the fork of a checkpoint is for the cell, and leaves no process behind."""

import errno
import os
import signal
from typing import Any

import psutil
import pytest

from flow_kernel.session.checkpoints import keeper
from flow_kernel.session.checkpoints.keeper import Keeper


def interrupted_fork() -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return os.fork()


def refused_fork() -> int:
    os.kill(os.getpid(), signal.SIGINT)
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def nothing(_: Any) -> dict[str, Any]:
    return {}


def test_an_interrupt_at_the_fork_is_raised_after_it_and_no_child_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The moment is between two steps of one call: the signal is sent from there."""
    monkeypatch.setattr(keeper, "fork", interrupted_fork)
    before = psutil.Process().children()
    with pytest.raises(KeyboardInterrupt):
        Keeper.start(nothing)
    assert not {*psutil.Process().children()} - {*before}


def test_an_interrupt_is_not_lost_where_there_can_be_no_more_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The limit of processes is none for root, so the refusal is put in its place."""
    monkeypatch.setattr(keeper, "fork", refused_fork)
    with pytest.raises(KeyboardInterrupt):
        Keeper.start(nothing)
