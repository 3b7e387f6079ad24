"""What comes out of an isolated cell: beside the same cell in the session, and beside stock.

Called by `run.py`.
"""

from typing import Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Pairs,
    Result,
    Target,
    alternate,
    in_turn,
    on_top_of,
    pairs_of,
    side_by_side,
)
from isolated import ISOLATED, warm_up
from live import FLOW, STOCK, Kernel
from output import PRINTS, first_stream_ms
from together import STOCK_NAME, kernels

_LINE: Final = "print('line', flush=True)\nimport time; time.sleep(0.05)"
_PIECES: Final = "import sys\nfor _ in range({count}): sys.stdout.write('x' * 999_999 + '\\n')"
_FLUSHED: Final = Figure(
    name="isolated_line",
    title="a flushed line on the screen, after a local one",
    unit="ms",
    target=Target(at_most=5),
)
_PRINTS: Final = Figure(
    name="isolated_prints_100k",
    title="100,000 isolated prints until idle, beside local ones of stock",
    unit="ms",
    target=Target(at_most=0.4, of="ratio"),
)
_MEGABYTES: Final = (10, 50)


def flushed_line(bench: Bench) -> list[Result]:
    """A line that a cell flushes while it goes on."""
    with kernels(bench, FLOW) as (kernel,):
        warm_up(kernel)
        taken = alternate(
            bench.count(40, 2),
            bench.rng,
            ours=lambda _: first_stream_ms(kernel, ISOLATED + _LINE),
            peer=lambda _: first_stream_ms(kernel, _LINE),
        )
    return [on_top_of(_FLUSHED, pairs_of(taken), peer="local")]


def prints(bench: Bench) -> list[Result]:
    """100,000 lines out of a worker."""
    code = PRINTS.format(count=bench.count(100_000, 1_000))
    with kernels(bench, FLOW, STOCK) as (ours, stock):
        warm_up(ours)
        waits = _waits(bench, [(ours, ISOLATED + code), (stock, code)], turns=16)
    return [side_by_side(_PRINTS, Pairs(*waits), peer=f"{STOCK_NAME}, local")]


def output(bench: Bench) -> list[Result]:
    """Ten and fifty megabytes in pieces of one."""
    results = []
    with kernels(bench, FLOW, STOCK) as (ours, stock):
        warm_up(ours)
        for megabytes in _MEGABYTES:
            code = _PIECES.format(count=1 if bench.quick else megabytes)
            relayed, direct, stocks = _waits(
                bench, [(ours, ISOLATED + code), (ours, code), (stock, code)], turns=14
            )
            beside_direct, beside_stock = _figures(megabytes)
            results += [
                side_by_side(beside_direct, Pairs(relayed, direct), peer="direct"),
                side_by_side(beside_stock, Pairs(relayed, stocks), peer=f"{STOCK_NAME}, local"),
            ]
    return results


def _figures(megabytes: int) -> tuple[Figure, Figure]:
    """Beside the same cell in the session, and beside stock."""
    return (
        Figure(
            name=f"isolated_{megabytes}_mb",
            title=f"{megabytes} MB of output, beside the same cell in the session",
            unit="ms",
            target=Target(at_most=1.15, of="ratio"),
        ),
        Figure(
            name=f"isolated_{megabytes}_mb_stock",
            title=f"{megabytes} MB of output, beside stock",
            unit="ms",
        ),
    )


def _waits(bench: Bench, contenders: list[tuple[Kernel, str]], *, turns: int) -> list[list[float]]:
    """Waits in ms of each cell in its kernel, turn by turn, after two that are not counted."""
    for _ in range(2):
        for kernel, code in contenders:
            kernel.execute(code)
    return in_turn(
        bench.count(turns, 2),
        bench.rng,
        [lambda _, k=k, c=c: k.execute(c).idle_ms for k, c in contenders],
    )


BENCHMARKS: Final = (
    Benchmark(name="isolated_line", about=_FLUSHED.title, run=flushed_line),
    Benchmark(name="isolated_prints_100k", about=_PRINTS.title, run=prints),
    Benchmark(name="isolated_output", about="10 and 50 MB of output", run=output),
)
