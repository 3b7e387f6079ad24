"""What recording one cell costs in CPU, at few and at many variables.

Called by `run.py`. One kernel is switched between recording and not recording, by taking the
recorder's hooks off and putting them on again between blocks of cells; the figure is what its
process used more with them, all its threads together. One process, because two of the same program
differ by more than a recorder costs. The second figure is what the recorder itself wrote into its
records as `recorder_us`.
"""

import functools
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson
from harness import Bench, Benchmark, Figure, Pairs, Result, Target, alone, in_turn, on_top_of
from live import FLOW, Kernel
from together import kernels, rested_cpu_ms

# A rebound name, a container, a line of output, a result: what small cells of a session do.
CELLS: Final = ("a = 1", "b = [1, 2, 3]", "print('a')", "a + 1")
# Values that a namespace is full of: numbers, text, containers.
FILL: Final = (
    "globals().update({{f'v{{i}}': (i + 1000, f's{{i}}', [i], {{'k': i}})[i % 4]"
    " for i in range({count})}})"
)
_SWITCH: Final = "get_ipython().kernel.attachment.{verb}()"
_LIMIT_MS: Final = {200: 0.2, 5_000: 0.8, 100_000: 25.0}


def recorder(bench: Bench, *, variables: int) -> list[Result]:
    """The recorder's share at one size of the namespace."""
    cpu = Pairs()
    own: list[float] = []
    for restart in range(bench.count(4, 1)):
        with kernels(bench, FLOW, env={"PYTHONHASHSEED": str(restart)}) as (kernel,):
            turns = _in_one_kernel(bench, kernel, variables, cpu)
            written = list(recorder_ms(kernel.folder / ".flow"))
        if len(written) != turns * len(CELLS):
            raise RuntimeError(f"{len(written)} records of {turns * len(CELLS)} recorded cells")
        own += written
    name = f"recorder_cpu_{variables}"
    at = f"at {variables:,} variables"
    target = Target(at_most=_LIMIT_MS[variables])
    return [
        on_top_of(
            Figure(name=name, title=f"recorder per cell {at}, CPU", unit="ms", target=target),
            cpu,
            peer="the same kernel, not recording",
            note=f"on top of the peer; mean {statistics.fmean(cpu.differences):.3f} ms",
        ),
        alone(
            Figure(name=f"{name}_own", title=f"recorder_us in the records {at}", unit="ms"),
            own,
            note="wall clock; without the write of the record that holds it",
        ),
    ]


def _in_one_kernel(bench: Bench, kernel: Kernel, variables: int, cpu: Pairs) -> int:
    """Adds CPU ms per cell, recording and not, to `cpu`. Returns how many turns were taken."""
    kernel.execute(FILL.format(count=variables))
    kernel.execute(_SWITCH.format(verb="detach"), silent=True)
    turns = bench.count(60, 3)
    # Without effect on the figures: both ways are warm when the clock is read first.
    for _ in range(5):
        _block(kernel, "pass", is_on=True)
        _block(kernel, "pass", is_on=False)
    recording, silent = in_turn(
        turns,
        bench.rng,
        [lambda _: _block(kernel, None, is_on=True), lambda _: _block(kernel, None, is_on=False)],
    )
    cpu.ours += recording
    cpu.peers += silent
    return turns


def _block(kernel: Kernel, code: str | None, *, is_on: bool) -> float:
    """CPU ms a cell over one round of `CELLS`, or of `code`, with the hooks on or off."""
    if is_on:
        kernel.execute(_SWITCH.format(verb="attach"), silent=True)
    kernel.execute("pass")
    before_ms = rested_cpu_ms(kernel)
    for cell in CELLS:
        kernel.execute(code or cell)
    used_ms = rested_cpu_ms(kernel) - before_ms
    if is_on:
        kernel.execute(_SWITCH.format(verb="detach"), silent=True)
    return used_ms / len(CELLS)


def recorder_ms(home: Path) -> Iterator[float]:
    """`recorder_us` of every cell of `CELLS` that the log of `home` holds, in ms."""
    for path in sorted(home.glob("log/*/*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                record = orjson.loads(line)
                if record["kind"] == "cell" and record["code"] in CELLS:
                    yield record["recorder_us"] / 1000


BENCHMARKS: Final = tuple(
    Benchmark(
        name=f"recorder_cpu_{variables}",
        about=f"recorder per cell at {variables:,} variables, CPU",
        run=functools.partial(recorder, variables=variables),
    )
    for variables in _LIMIT_MS
)
