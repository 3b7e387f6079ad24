"""What memory a kernel takes: idle, over thousands of trivial cells, after many prints.

Called by `run.py`, each figure beside stock ipykernel. For trivial cells both kernels are alive
together and read after every block. IPython keeps the source of every cell, so stock grows as
well; the figure is what we add to that. All others are of kernels that are started for them.
"""

import itertools
import time
from collections.abc import Sequence
from typing import Final

import psutil
from harness import (
    Bench,
    Benchmark,
    Figure,
    Pairs,
    Result,
    Target,
    alternate,
    on_top_of,
    pairs_of,
    side_by_side,
    spread,
)
from live import FLOW, STOCK, Kernel
from output import LINES
from together import STOCK_NAME, kernels

_BLOCK: Final = 500
_WARM_UP_BLOCKS: Final = 2
_REST_S: Final = 1.0
"""After which a kernel that has nothing to do is idle: what it does after a cell is done."""
_TURNS: Final = 10
_FIGURE: Final = Figure(
    name="rss_growth",
    title="memory that a trivial cell leaves behind, above stock",
    unit="KB",
    target=Target(at_most=0.1),
)
_IDLE: Final = (
    Figure(
        name="idle_rss",
        title="resident memory of an idle kernel, above stock",
        unit="MB",
        target=Target(at_most=5),
    ),
    Figure(
        name="idle_uss",
        title="memory that an idle kernel and its children have for themselves, above stock",
        unit="MB",
        target=Target(at_most=5),
    ),
)
_PRINTED: Final = {
    1: Figure(
        name="rss_100_mb",
        title="memory left behind by 100 MB of prints, lines of 100 bytes, in one cell",
        unit="MB",
        target=Target(at_most=5),
    ),
    100: Figure(
        name="rss_100_cells",
        title="memory left behind by 100 cells that print 1 MB each",
        unit="MB",
        target=Target(at_most=5),
    ),
}
_PRINTED_BYTES: Final = 100_000_000
_LINE_BYTES: Final = {1: 100, 100: 1_000}
"""By the number of cells. Short lines cost most, and ten times as long."""


def growth(bench: Bench) -> list[Result]:
    """KB of resident memory that a trivial cell leaves behind."""
    block = bench.count(_BLOCK, 20)
    blocks = bench.count(10_000 // _BLOCK, 2)
    with kernels(bench, FLOW, STOCK) as both:
        for _ in range(_WARM_UP_BLOCKS):
            for kernel in both:
                _run(kernel, block)
        readings = [[kernel.rss_bytes()] for kernel in both]
        for _ in range(blocks):
            for kernel, column in zip(both, readings, strict=True):
                _run(kernel, block)
                column.append(kernel.rss_bytes())
    ours, stock = (_kb_a_cell(column, block) for column in readings)
    return [_over_all(Pairs(ours, stock), cells=block * blocks)]


def _over_all(pairs: Pairs, *, cells: int) -> Result:
    """The growth over all cells: memory comes in lumps, so the median of blocks says little."""
    mean_ours = sum(pairs.ours) / len(pairs.ours)
    mean_stock = sum(pairs.peers) / len(pairs.peers)
    return Result(
        figure=_FIGURE,
        value=mean_ours - mean_stock,
        spread=spread(pairs.differences),
        samples=len(pairs.ours),
        peer=STOCK_NAME,
        peer_value=mean_stock,
        ratio=mean_ours / mean_stock if mean_stock else None,
        note=f"on top of the peer, over {cells:,} cells",
    )


def idle(bench: Bench) -> list[Result]:
    """What a kernel has that has run one cell."""
    taken = alternate(
        bench.count(_TURNS, 1),
        bench.rng,
        ours=lambda _: _idle_mb(bench, FLOW),
        peer=lambda _: _idle_mb(bench, STOCK),
    )
    return [
        on_top_of(
            figure,
            pairs_of([(mine[column], other[column]) for mine, other in taken]),
            peer=STOCK_NAME,
            note="on top of the peer",
        )
        for column, figure in enumerate(_IDLE)
    ]


def _idle_mb(bench: Bench, argv: Sequence[str]) -> tuple[float, float]:
    """RSS of the kernel, and USS of it and its children, in MB."""
    with kernels(bench, argv) as (kernel,):
        kernel.execute("1+1")
        _rest(bench)
        process = psutil.Process(kernel.process.pid)
        family = [process, *process.children(recursive=True)]
        own = sum(each.memory_full_info().uss for each in family)
        return kernel.rss_bytes() / 1e6, own / 1e6


def printed_in_one_cell(bench: Bench) -> list[Result]:
    """100 MB of prints in one cell."""
    return _printed(bench, cells=1)


def printed_in_many_cells(bench: Bench) -> list[Result]:
    """100 MB of prints in 100 cells."""
    return _printed(bench, cells=100)


def _printed(bench: Bench, *, cells: int) -> list[Result]:
    taken = alternate(
        bench.count(_TURNS, 1),
        bench.rng,
        ours=lambda _: _left_by_prints_mb(bench, FLOW, cells),
        peer=lambda _: _left_by_prints_mb(bench, STOCK, cells),
    )
    return [side_by_side(_PRINTED[cells], pairs_of(taken), peer=STOCK_NAME)]


def _left_by_prints_mb(bench: Bench, argv: Sequence[str], cells: int) -> float:
    """What resident memory of a new kernel grows by, in MB."""
    size = _LINE_BYTES[cells]
    count = bench.count(_PRINTED_BYTES, 100_000) // cells // size
    with kernels(bench, argv) as (kernel,):
        kernel.execute(LINES.format(count=10, size=size))
        _rest(bench)
        before = kernel.rss_bytes()
        for _ in range(cells):
            kernel.execute(LINES.format(count=count, size=size))
        _rest(bench)
        return (kernel.rss_bytes() - before) / 1e6


def _rest(bench: Bench) -> None:
    time.sleep(0.05 if bench.quick else _REST_S)


def _run(kernel: Kernel, cells: int) -> None:
    for _ in range(cells):
        kernel.execute("x = 1")


def _kb_a_cell(readings: list[int], block: int) -> list[float]:
    return [(after - before) / 1024 / block for before, after in itertools.pairwise(readings)]


BENCHMARKS: Final = (
    Benchmark(name="rss_growth", about=_FIGURE.title, run=growth),
    Benchmark(name="idle_memory", about="RSS and USS of an idle kernel", run=idle),
    Benchmark(name="rss_100_mb", about=_PRINTED[1].title, run=printed_in_one_cell),
    Benchmark(name="rss_100_cells", about=_PRINTED[100].title, run=printed_in_many_cells),
)
