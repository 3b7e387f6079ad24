"""The two smallest pieces of a recorded cell: finding new modules, appending a record.

Called by `run.py`. Each is timed in batches beside the plain way to do the same.
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side
from sample_records import cell_fields

from flow_kernel.records.home import Home
from flow_kernel.records.imports import ImportWatch
from flow_kernel.records.journal import Journal

_MODULES: Final = 3_000
_PREFIX: Final = "benchmark_module_"
_IMPORTS_DIFF: Final = Figure(
    name="imports_diff",
    title="finding new modules among 3,000",
    unit="us",
    target=Target(at_most=2),
)
_JOURNAL_APPEND: Final = Figure(
    name="journal_append",
    title="one record of a cell into the log",
    unit="us",
    target=Target(at_most=10),
)


def imports_diff(bench: Bench) -> list[Result]:
    """What a cell without an import pays to learn that, with 3,000 modules in `sys.modules`."""
    missing = max(_MODULES - len(sys.modules), 0)
    names = [f"{_PREFIX}{number}" for number in range(missing)]
    sys.modules.update({name: ModuleType(name) for name in names})
    try:
        watch = ImportWatch()
        known = set(sys.modules)

        def ours() -> None:
            watch.added_since(watch.mark())

        def sets() -> None:
            sorted(set(sys.modules) - known)

        return [
            _in_batches(
                bench,
                _IMPORTS_DIFF,
                ours,
                sets,
                peer="set(sys.modules) - before",
                calls=bench.count(1_000, 10),
                sample=_mean_us,
            )
        ]
    finally:
        for name in names:
            del sys.modules[name]


def journal_append(bench: Bench) -> list[Result]:
    """One record of a cell, durable against the death of the process when the call returns."""
    folder = bench.folder("journal")
    home = Home(folder / ".flow")
    home.ensure()
    journal = Journal(home, "0" * 31 + "1")
    fields = cell_fields(random.Random(1), 1)
    plain = (folder / "plain.jsonl").open("a", encoding="utf-8")

    def ours() -> None:
        journal.append("cell", "local", "T-0000", fields)

    def by_hand() -> None:
        plain.write(json.dumps(fields) + "\n")
        plain.flush()

    try:
        return [
            _in_batches(
                bench,
                _JOURNAL_APPEND,
                ours,
                by_hand,
                peer="json.dumps, write, flush",
                calls=bench.count(50, 5),
                sample=_median_us,
            )
        ]
    finally:
        journal.close()
        plain.close()


def _in_batches(
    bench: Bench,
    figure: Figure,
    ours: Callable[[], None],
    peer_call: Callable[[], None],
    *,
    peer: str,
    calls: int,
    sample: Callable[[Callable[[], None], int], float],
) -> Result:
    """The two in turn, one batch of `calls` each; a sample is what one call took."""
    taken = alternate(
        bench.count(200, 3),
        bench.rng,
        ours=lambda _: sample(ours, calls),
        peer=lambda _: sample(peer_call, calls),
    )
    return side_by_side(figure, pairs_of(taken), peer=peer)


def _mean_us(call: Callable[[], None], calls: int) -> float:
    """For a call that is as short as reading the clock."""
    started = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - started) / 1000 / calls


def _median_us(call: Callable[[], None], calls: int) -> float:
    """For a call that goes to the kernel of the system, where a rare one is slow."""
    took_ns = []
    for _ in range(calls):
        started = time.perf_counter_ns()
        call()
        took_ns.append(time.perf_counter_ns() - started)
    return statistics.median(took_ns) / 1000


BENCHMARKS: Final = (
    Benchmark(
        name=_IMPORTS_DIFF.name,
        about=_IMPORTS_DIFF.title,
        run=imports_diff,
    ),
    Benchmark(
        name=_JOURNAL_APPEND.name,
        about=_JOURNAL_APPEND.title,
        run=journal_append,
    ),
)
