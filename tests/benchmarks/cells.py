"""How long a cell takes, from the request to `idle`, beside stock ipykernel.

Called by `run.py`.
"""

from collections.abc import Sequence
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side
from live import FLOW, STOCK, Kernel
from together import STOCK_NAME, beside_stock, kernels

PANDAS_SETUP: Final = """
import pandas as pd
table = pd.DataFrame({"shop": list("abcd") * 250, "day": range(1000), "sold": range(1000)})
"""
# Ten lines of the kind that stand in a notebook: clean, derive, group, join, look.
PANDAS_CELL: Final = """df = table.copy()
df["sold"] = df["sold"].clip(lower=3)
df["week"] = df["day"] // 7
df = df.dropna().query("sold > 10")
by_shop = df.groupby("shop", as_index=False)["sold"].sum()
by_week = df.groupby("week")["sold"].mean()
best = by_shop.sort_values("sold").iloc[-1]["shop"]
merged = df.merge(by_shop, on="shop", suffixes=("", "_total"))
merged["share"] = merged["sold"] / merged["sold_total"]
merged["share"].describe().round(3)"""
# Work follows the print, as in a training loop: it is what makes a late line late.
FIRST_PRINT: Final = "import time\nprint('epoch 1')\ntime.sleep(0.25)"
MANY_PRINTS: Final = "for i in range(100_000):\n    print(i)"

_NOISE: Final = Figure(name="noise_floor", title="stock beside stock, 1+1 until idle", unit="ms")
_ONE_PLUS_ONE: Final = Figure(
    name="round_trip",
    title="1+1 until idle",
    unit="ms",
    target=Target(at_most=1.05, of="ratio"),
)
_PASS: Final = Figure(name="round_trip_pass", title="pass until idle", unit="ms")
_PANDAS: Final = Figure(name="round_trip_pandas", title="ten lines of pandas until idle", unit="ms")
_FIRST_PRINT: Final = Figure(
    name="first_print", title="first print of a long cell on the screen", unit="ms"
)
_MANY_PRINTS: Final = Figure(name="prints_100k", title="100,000 prints until idle", unit="ms")


def noise_floor(bench: Bench) -> list[Result]:
    """Stock beside stock: how far from 1.00 a ratio can be by chance alone."""
    return _beside_stock(bench, _NOISE, "1+1", argv=STOCK, turns=600)


def one_plus_one(bench: Bench) -> list[Result]:
    """The smallest cell that shows a result."""
    return _beside_stock(bench, _ONE_PLUS_ONE, "1+1", turns=600)


def nothing(bench: Bench) -> list[Result]:
    """The smallest cell."""
    return _beside_stock(bench, _PASS, "pass", turns=400)


def pandas_cell(bench: Bench) -> list[Result]:
    """Ten lines of pandas, as in a real notebook."""
    return _beside_stock(bench, _PANDAS, PANDAS_CELL, setup=PANDAS_SETUP, turns=200, restarts=4)


def first_print(bench: Bench) -> list[Result]:
    """From the request to the first line on the screen, while the cell goes on."""
    turns = bench.count(40, 2)
    with kernels(bench, FLOW, STOCK) as (ours, stock):
        taken = alternate(
            turns,
            bench.rng,
            ours=lambda _: _first_stream_ms(ours),
            peer=lambda _: _first_stream_ms(stock),
        )
    return [side_by_side(_FIRST_PRINT, pairs_of(taken), peer=STOCK_NAME)]


def many_prints(bench: Bench) -> list[Result]:
    """A cell that prints 100,000 lines."""
    code = MANY_PRINTS if not bench.quick else MANY_PRINTS.replace("100_000", "1_000")
    return _beside_stock(bench, _MANY_PRINTS, code, turns=20, restarts=4, warm_up=2)


def _beside_stock(
    bench: Bench,
    figure: Figure,
    code: str,
    *,
    turns: int,
    argv: Sequence[str] = FLOW,
    setup: str = "pass",
    restarts: int = 8,
    warm_up: int = 40,
) -> list[Result]:
    waits, cpu = beside_stock(
        bench, argv, code, turns=turns, restarts=restarts, setup=setup, warm_up=warm_up
    )
    cpu_figure = Figure(
        name=f"{figure.name}_cpu", title=f"{figure.title}, CPU of the kernel", unit="ms"
    )
    return [
        side_by_side(figure, waits, peer=STOCK_NAME),
        side_by_side(cpu_figure, cpu, peer=STOCK_NAME),
    ]


def _first_stream_ms(kernel: Kernel) -> float:
    seen_ms = kernel.execute(FIRST_PRINT).first_stream_ms
    if seen_ms is None:
        raise RuntimeError("the line never came")
    return seen_ms


_RUNS: Final = {
    _NOISE: noise_floor,
    _ONE_PLUS_ONE: one_plus_one,
    _PASS: nothing,
    _PANDAS: pandas_cell,
    _FIRST_PRINT: first_print,
    _MANY_PRINTS: many_prints,
}
BENCHMARKS: Final = tuple(
    Benchmark(name=figure.name, about=figure.title, run=run) for figure, run in _RUNS.items()
)
