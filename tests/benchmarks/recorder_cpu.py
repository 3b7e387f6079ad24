"""What recording one cell costs in CPU, at few and at many variables.

Called by `run.py`. Two kernels `flow` are alive together, one of which does not record; the figure
is what the process of the recording one used more, all its threads together. The second figure is
what the recorder itself wrote into its records as `recorder_us`.
"""

import functools
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson
from harness import Bench, Benchmark, Figure, Result, Target, alone, on_top_of
from live import FLOW, FLOW_NOT_RECORDING
from together import kernels, take_turns

# A rebound name, a container, a line of output, a result: what small cells of a session do.
CELLS: Final = ("a = 1", "b = [1, 2, 3]", "print('a')", "a + 1")
# Values that a namespace is full of: numbers, text, containers.
FILL: Final = (
    "globals().update({{f'v{{i}}': (i + 1000, f's{{i}}', [i], {{'k': i}})[i % 4]"
    " for i in range({count})}})"
)
_LIMIT_MS: Final = {200: 0.2, 5_000: 0.8, 100_000: 25.0}


def recorder(bench: Bench, *, variables: int) -> list[Result]:
    """The recorder's share at one size of the namespace."""
    turns = bench.count(800 if variables < 100_000 else 240, 4)
    name = f"recorder_cpu_{variables}"
    with kernels(bench, FLOW, FLOW_NOT_RECORDING) as (recording, silent):
        for kernel in (recording, silent):
            kernel.execute(FILL.format(count=variables))
        _, cpu = take_turns(
            bench, turns, ours=recording, peer=silent, code=lambda turn: CELLS[turn % len(CELLS)]
        )
        own = list(recorder_ms(recording.folder / ".flow"))[-turns:]
        if any(recorder_ms(silent.folder / ".flow")):
            raise RuntimeError("the kernel that must not record has records")
    mean = statistics.fmean(cpu.differences)
    return [
        on_top_of(
            Figure(
                name=name,
                title=f"recorder per cell at {variables:,} variables, CPU",
                unit="ms",
                target=Target(at_most=_LIMIT_MS[variables]),
            ),
            cpu,
            peer="flow, not recording",
            note=f"on top of the peer; the mean is {mean:.3f} ms",
        ),
        alone(
            Figure(
                name=f"{name}_own",
                title=f"recorder_us in the records at {variables:,} variables",
                unit="ms",
            ),
            own,
            note="wall clock, as the recorder itself wrote it",
        ),
    ]


def recorder_ms(home: Path) -> Iterator[float]:
    """`recorder_us` of every cell that the log of `home` holds, in ms."""
    for path in sorted(home.glob("log/*/*.jsonl")):
        with path.open("rb") as lines:
            for line in lines:
                record = orjson.loads(line)
                if record["kind"] == "cell":
                    yield record["recorder_us"] / 1000


BENCHMARKS: Final = tuple(
    Benchmark(
        name=f"recorder_cpu_{variables}",
        about=f"CPU of the recorder per cell at {variables:,} variables",
        run=functools.partial(recorder, variables=variables),
    )
    for variables in _LIMIT_MS
)
