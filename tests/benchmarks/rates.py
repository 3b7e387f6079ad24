"""Small cells at full rate: how many a second, and what memory each leaves behind, beside stock.

Called by `run.py`. Both kernels are alive; they take turns in blocks of some seconds, so that each
has the machine to itself. A cell is sent when the one before it is over. The ten minutes of the
soak are a kernel's own: with both it takes twenty.
"""

import itertools
import statistics
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Pairs,
    Result,
    Target,
    in_turn,
    side_by_side,
    spread,
)
from live import FLOW, STOCK, Kernel
from recorder_cpu import CELLS
from together import STOCK_NAME, kernels

_RATE: Final = Target(at_least=1.3, of="ratio")
_SLOPE: Final = Target(at_most=1, of="ratio")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long: so many blocks of each kernel, so many seconds each."""

    name: str
    title: str
    blocks: int
    block_s: float


SHORT: Final = Plan("full_rate", "half a minute", blocks=10, block_s=3)
SOAK: Final = Plan("full_rate_soak", "ten minutes", blocks=60, block_s=10)


@dataclass(slots=True)
class Course:
    """How one kernel went: cells a second of each block, and after each, cells so far and RSS."""

    rates: list[float] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)
    rss_kb: list[float] = field(default_factory=list)

    def add(self, cells: int, took_s: float, rss_bytes: int) -> None:
        """One more block."""
        self.rates.append(cells / took_s)
        self.cells.append((self.cells[-1] if self.cells else 0) + cells)
        self.rss_kb.append(rss_bytes / 1024)

    @property
    def slope_kb(self) -> float:
        """KB that a cell leaves behind: the line of least squares through all blocks."""
        return statistics.linear_regression(self.cells, self.rss_kb).slope

    @property
    def steps_kb(self) -> list[float]:
        """KB a cell from each block to the next."""
        pairs = itertools.pairwise(zip(self.cells, self.rss_kb, strict=True))
        return [(rss - rss_before) / (c - c_before) for (c_before, rss_before), (c, rss) in pairs]


def full_rate(bench: Bench, *, plan: Plan) -> list[Result]:
    """Cells a second, and the slope of the memory."""
    block_s = 0.2 if bench.quick else plan.block_s
    ours, stock = Course(), Course()
    with kernels(bench, FLOW, STOCK) as both:
        # The first seconds are those in which a kernel loads and fills what it keeps.
        for kernel in both:
            _block(kernel, min(block_s, 5))
        pairs = list(zip(both, (ours, stock), strict=True))
        in_turn(
            bench.count(plan.blocks, 3),
            bench.rng,
            [lambda _, k=k, c=c: c.add(*_block(k, block_s), k.rss_bytes()) for k, c in pairs],
        )
    rate = Figure(
        name=plan.name,
        title=f"small cells at full rate for {plan.title}",
        unit="cells/s",
        target=_RATE,
    )
    note = f"{ours.cells[-1]:,} cells of flow, {stock.cells[-1]:,} of stock"
    return [
        side_by_side(rate, Pairs(ours.rates, stock.rates), peer=STOCK_NAME, note=note),
        _slopes(plan, ours, stock),
    ]


def _block(kernel: Kernel, seconds: float) -> tuple[int, float]:
    """Runs rounds of cells for so long. Returns how many, and what they took in seconds."""
    began = time.perf_counter()
    cells = 0
    while (took_s := time.perf_counter() - began) < seconds:
        for code in CELLS:
            kernel.execute(code)
        cells += len(CELLS)
    return cells, took_s


def _slopes(plan: Plan, ours: Course, stock: Course) -> Result:
    """Memory comes in lumps: the value is the slope over all blocks, not a median."""
    steps = Pairs(ours.steps_kb, stock.steps_kb)
    ratio = ours.slope_kb / stock.slope_kb if stock.slope_kb > 0 else None
    return Result(
        figure=Figure(
            name=f"{plan.name}_rss",
            title=f"memory that each of these cells leaves behind, over {plan.title}",
            unit="KB",
            target=_SLOPE,
        ),
        value=ours.slope_kb,
        spread=spread(steps.ours),
        samples=len(ours.cells),
        peer=STOCK_NAME,
        peer_value=stock.slope_kb,
        ratio=ratio,
        note="slope over all blocks; its spread is that from block to block",
    )


BENCHMARKS: Final = (
    Benchmark(
        name=SHORT.name, about="small cells at full rate", run=partial(full_rate, plan=SHORT)
    ),
    Benchmark(
        name=SOAK.name,
        about="the same for ten minutes each; only by name or with --soak",
        run=partial(full_rate, plan=SOAK),
        is_soak=True,
    ),
)
