"""How long a small cell takes, from the request to `idle`, beside stock ipykernel.

Called by `run.py`.
"""

from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target
from live import STOCK
from together import wait_and_cpu

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

_NOISE: Final = Figure(name="noise_floor", title="stock beside stock, 1+1 until idle", unit="ms")
_ONE_PLUS_ONE: Final = Figure(
    name="round_trip",
    title="1+1 until idle",
    unit="ms",
    target=Target(at_most=0.65, of="ratio"),
)
_PASS: Final = Figure(name="round_trip_pass", title="pass until idle", unit="ms")
_PANDAS: Final = Figure(name="round_trip_pandas", title="ten lines of pandas until idle", unit="ms")


def noise_floor(bench: Bench) -> list[Result]:
    """Stock beside stock: how far from 1.00 a ratio can be by chance alone."""
    return wait_and_cpu(bench, _NOISE, "1+1", argv=STOCK, turns=600)


def one_plus_one(bench: Bench) -> list[Result]:
    """The smallest cell that shows a result."""
    return wait_and_cpu(bench, _ONE_PLUS_ONE, "1+1", turns=600)


def nothing(bench: Bench) -> list[Result]:
    """The smallest cell."""
    return wait_and_cpu(bench, _PASS, "pass", turns=400)


def pandas_cell(bench: Bench) -> list[Result]:
    """Ten lines of pandas, as in a real notebook."""
    return wait_and_cpu(bench, _PANDAS, PANDAS_CELL, setup=PANDAS_SETUP, turns=200, restarts=4)


_RUNS: Final = {
    _NOISE: noise_floor,
    _ONE_PLUS_ONE: one_plus_one,
    _PASS: nothing,
    _PANDAS: pandas_cell,
}
BENCHMARKS: Final = tuple(
    Benchmark(name=figure.name, about=figure.title, run=run) for figure, run in _RUNS.items()
)
