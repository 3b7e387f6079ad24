"""What an event costs, and what each printed line costs while events are on.

Called by `run.py`. Each is timed in batches beside the plain way to do the same.
"""

import hmac
import io
import json
import os
import statistics
import time
from collections.abc import Callable
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side

from flow_kernel.records.event_escape import Escaper
from flow_kernel.session.announcer import Announcer

_LINES: Final = 20
_EVENT: Final = Figure(
    name="event_line",
    title="one event: counted, signed, made a line",
    unit="us",
    target=Target(at_most=10),
)
_GUARD: Final = Figure(
    name="event_guard",
    title="guard of a printed line, twenty to a message",
    unit="us",
    target=Target(at_most=4),
)
_GUARD_ALONE: Final = Figure(
    name="event_guard_alone",
    title="guard of a line that is a message of its own",
    unit="us",
    target=Target(at_most=4),
)


class _Nowhere:
    """An outlet that keeps nothing."""

    def begin(self) -> None:
        """Begin."""

    def put(self, line: str) -> None:
        """Drop it."""


def event_line(bench: Bench) -> list[Result]:
    """Beside JSON and an HMAC of the standard library."""
    announcer = Announcer("ab" * 16, mode="1")
    announcer.connect(_Nowhere())
    key = os.urandom(32)

    def ours() -> None:
        announcer.emit("need_approval", code=2001, id="A-0001", msg="Delete the old tables?")

    def plain() -> None:
        said = {"s": "ab" * 16, "q": 1, "code": 2001, "id": "A-0001", "msg": "Delete the tables?"}
        line = json.dumps(said)
        hmac.new(key, line.encode(), "sha256").hexdigest()

    return [_beside(bench, _EVENT, ours, plain, peer="json.dumps and hmac")]


def event_guard(bench: Bench) -> list[Result]:
    """Beside what a stream does with the same text at the least: take it in and give it out."""
    text = "epoch 12, loss 0.1234, accuracy 0.9876\n" * _LINES
    escaper = Escaper()

    def ours() -> None:
        escaper.text("c", "stdout", text)

    def plain() -> None:
        buffer = io.StringIO()
        for line in text.splitlines(keepends=True):
            buffer.write(line)
        buffer.getvalue()

    return [
        _beside(bench, _GUARD, ours, plain, peer="StringIO", share=_LINES),
        _beside(
            bench,
            _GUARD_ALONE,
            lambda: escaper.text("c", "stdout", "epoch 12, loss 0.1234\n"),
            lambda: io.StringIO().write("epoch 12, loss 0.1234\n"),
            peer="StringIO",
        ),
    ]


def _beside(
    bench: Bench,
    figure: Figure,
    ours: Callable[[], object],
    plain: Callable[[], object],
    *,
    peer: str,
    share: int = 1,
) -> Result:
    calls = bench.count(500, 5)
    taken = alternate(
        bench.count(100, 3),
        bench.rng,
        ours=lambda _: _median_us(ours, calls) / share,
        peer=lambda _: _median_us(plain, calls) / share,
    )
    return side_by_side(figure, pairs_of(taken), peer=peer)


def _median_us(call: Callable[[], object], calls: int) -> float:
    took_ns = []
    for _ in range(calls):
        started = time.perf_counter_ns()
        call()
        took_ns.append(time.perf_counter_ns() - started)
    return statistics.median(took_ns) / 1000


BENCHMARKS: Final = (
    Benchmark(name=_EVENT.name, about=_EVENT.title, run=event_line),
    Benchmark(name=_GUARD.name, about=_GUARD.title, run=event_guard),
)
