"""How long variables take to another process and back, beside multiprocessing's pipe.

Called by `run.py`, and by hand:

    python tests/benchmarks/transfer.py [--quick]

The way in ends when the other process has the value and has said so; the way out begins when it is
asked for and ends when the value is here. The peer sends the same value with `Connection.send`.
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import table
from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side

from flow_kernel.workers.transfer import Arena, pack, ship, unpack

_PEER: Final = "pickle over a pipe of multiprocessing"
_DEADLINE_S: Final = 60.0
_WARM_UP: Final = 2


def _array(share: float) -> object:
    """100 MB."""
    import numpy as np  # here and below: a third of a second, which no other benchmark needs

    return np.random.default_rng(1).random(int(12_500_000 * share))


def _frame(share: float) -> object:
    """100 MB in ten columns."""
    import numpy as np
    import pandas as pd

    return pd.DataFrame(np.random.default_rng(1).random((int(1_250_000 * share), 10)))


def _texts(share: float) -> object:
    """2,000,000 texts as objects, each another, beside a number."""
    import pandas as pd

    rows = range(int(2_000_000 * share))
    texts = pd.Series([f"row {row} of the table" for row in rows], dtype=object)
    return pd.DataFrame({"text": texts, "number": 1.0})


_VALUES: Final[dict[str, Callable[[float], object]]] = {
    "array": _array,
    "frame": _frame,
    "texts": _texts,
}
_TITLES: Final = {"array": "array of 100 MB", "frame": "frame of 100 MB", "texts": "2 M texts"}
_TARGETS: Final = {"array_in": 100, "array_out": 200}


def _figure(what: str, way: str) -> Figure:
    most = _TARGETS.get(f"{what}_{way}")
    return Figure(
        name=f"transfer_{what}_{way}",
        title=f"{_TITLES[what]} {'to' if way == 'in' else 'back from'} another process",
        unit="ms",
        target=None if most is None else Target(at_most=most),
    )


def far_side(connection: Connection) -> None:
    """The other process; it keeps the value that came last."""
    arena = Arena()
    value: Any = None
    while True:
        order, content = connection.recv()
        match order:
            case "take":
                value = unpack(content)["value"]
                connection.send(True)
            case "keep":
                value = content
                connection.send(True)
            case "ship":
                connection.send(ship(pack({"value": value}), arena))
            case "send":
                connection.send(value)
            case _:
                arena.close()
                return


class _Ways:
    """The four ways of one value. Each returns its milliseconds."""

    def __init__(self, connection: Connection, value: object) -> None:
        self._connection = connection
        self._value = value
        self.arena = Arena()

    def ours_in(self, _: int) -> float:
        return self._timed(lambda: ("take", ship(pack({"value": self._value}), self.arena)))

    def peer_in(self, _: int) -> float:
        return self._timed(lambda: ("keep", self._value))

    def ours_out(self, _: int) -> float:
        return self._timed(lambda: ("ship", None), unpack)

    def peer_out(self, _: int) -> float:
        return self._timed(lambda: ("send", None))

    def _timed(
        self, order: Callable[[], object], then: Callable[[Any], object] = lambda answer: answer
    ) -> float:
        began = time.perf_counter_ns()
        self._connection.send(order())
        if not self._connection.poll(_DEADLINE_S):
            raise TimeoutError("the other process does not answer")
        got = then(self._connection.recv())
        took_ms = (time.perf_counter_ns() - began) / 1e6
        del got  # giving memory back is not part of a sending
        return took_ms


@contextmanager
def _ways(value: object) -> Iterator[_Ways]:
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=far_side, args=(far,), daemon=True)
    process.start()
    far.close()
    ways = _Ways(near, value)
    try:
        yield ways
    finally:
        near.send(("end", None))
        process.join(_DEADLINE_S)
        near.close()
        ways.arena.close()


def measure(bench: Bench, what: str) -> list[Result]:
    """One kind of value, in and out."""
    value = _VALUES[what](0.01 if bench.quick else 1.0)
    turns = bench.count(25, 3)
    results = []
    with _ways(value) as ways:
        for way, ours, peer in (
            ("in", ways.ours_in, ways.peer_in),
            ("out", ways.ours_out, ways.peer_out),
        ):
            for turn in range(_WARM_UP):  # the arena is made, both processes have their pages
                ours(turn)
                peer(turn)
            taken = alternate(turns, bench.rng, ours=ours, peer=peer)
            results.append(side_by_side(_figure(what, way), pairs_of(taken), peer=_PEER))
    return results


BENCHMARKS: Final = tuple(
    Benchmark(
        name=f"transfer_{what}",
        about=f"{title} to another process and back",
        run=partial(measure, what=what),
    )
    for what, title in _TITLES.items()
)


def main() -> int:
    """All of this file as a table."""
    parser = argparse.ArgumentParser(description="Variables to another process and back.")
    parser.add_argument("--quick", action="store_true", help="few turns: figures mean nothing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flow-bench-") as tmp:
        bench = Bench(quick=options.quick, tmp=Path(tmp), rng=random.Random(1))
        results = [result for benchmark in BENCHMARKS for result in benchmark.run(bench)]
    print(table.plain([result.as_json() for result in results]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
