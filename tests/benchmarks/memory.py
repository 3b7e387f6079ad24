"""How a session grows over thousands of trivial cells, beside stock ipykernel.

Called by `run.py`. Both kernels are alive together and read after every block of cells. IPython
keeps the source of every cell, so stock grows as well; the figure is what we add to that.
"""

import itertools
from typing import Final

from harness import Bench, Benchmark, Figure, Pairs, Result, Target, spread
from live import FLOW, STOCK, Kernel
from together import STOCK_NAME, kernels

_BLOCK: Final = 500
_WARM_UP_BLOCKS: Final = 2
_FIGURE: Final = Figure(
    name="rss_growth",
    title="memory that a trivial cell leaves behind, above stock",
    unit="KB",
    target=Target(at_most=0.1),
)


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


def _run(kernel: Kernel, cells: int) -> None:
    for _ in range(cells):
        kernel.execute("x = 1")


def _kb_a_cell(readings: list[int], block: int) -> list[float]:
    return [(after - before) / 1024 / block for before, after in itertools.pairwise(readings)]


BENCHMARKS: Final = (Benchmark(name="rss_growth", about=_FIGURE.title, run=growth),)
