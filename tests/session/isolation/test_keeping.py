"""What a session does that waits for a worker which holds its variables."""

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.session.isolation import keeping


def waiting(monkeypatch: pytest.MonkeyPatch, beats: Iterator[int]) -> "tuple[Future[Any], Any]":
    """A fake of a worker whose heart has beaten so often, and of a clock: a minute each look."""
    asked: Future[Any] = Future()
    clock = iter(range(0, 6_000, 61))
    monkeypatch.setattr(keeping, "monotonic", lambda: next(clock))
    monkeypatch.setattr(keeping, "_SLICE_S", 0.0)
    heart = SimpleNamespace(beats=0)

    def ask() -> None:
        heart.beats = next(beats)
        if heart.beats == 9:
            asked.set_result({"status": "ok"})

    heart.ask = ask
    return asked, SimpleNamespace(heart=heart, died=None)


def test_a_worker_that_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, worker = waiting(monkeypatch, iter([0] * 9))
    with pytest.raises(StoreError, match="does not answer"):
        keeping._reply(asked, worker, NotedInterrupts())


def test_a_worker_that_takes_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "_SILENT_S", 122.0)
    asked, worker = waiting(monkeypatch, iter(range(1, 10)))
    assert keeping._reply(asked, worker, NotedInterrupts()) == {"status": "ok"}
