"""How long what a cell shows takes: its first line, many lines, many displays, beside stock.

Called by `run.py`.
"""

from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side
from live import FLOW, STOCK, Kernel
from together import STOCK_NAME, kernels, wait_and_cpu

# Work follows the print, as in a training loop: it is what makes a late line late.
FIRST_PRINT: Final = "import time\nprint('epoch 1')\ntime.sleep(0.25)"
PRINTS: Final = "for i in range({count}):\n    print(i)"
LINES: Final = "line = 'x' * ({size} - 1)\nfor _ in range({count}):\n    print(line)"
DISPLAYS: Final = "for i in range({count}):\n    display(i)"

_FIRST_PRINT: Final = Figure(
    name="first_print",
    title="first print of a long cell on the screen",
    unit="ms",
    target=Target(at_most=10),
)
_PRINTS: Final = Figure(
    name="prints_100k",
    title="100,000 prints until idle",
    unit="ms",
    target=Target(at_most=0.35, of="ratio"),
)
_LINES: Final = Figure(
    name="lines_50_mb",
    title="50 MB in lines of 100 bytes until idle",
    unit="ms",
    target=Target(at_most=0.4, of="ratio"),
)
_DISPLAYS: Final = Figure(
    name="displays_2000",
    title="2,000 displays until idle",
    unit="ms",
    target=Target(at_most=0.5, of="ratio"),
)


def first_print(bench: Bench) -> list[Result]:
    """From the request to the first line on the screen, while the cell goes on."""
    with kernels(bench, FLOW, STOCK) as (ours, stock):
        taken = alternate(
            bench.count(40, 2),
            bench.rng,
            ours=lambda _: first_stream_ms(ours, FIRST_PRINT),
            peer=lambda _: first_stream_ms(stock, FIRST_PRINT),
        )
    return [side_by_side(_FIRST_PRINT, pairs_of(taken), peer=STOCK_NAME)]


def first_stream_ms(kernel: Kernel, code: str) -> float:
    """From the request to the first output of a cell that has some.

    Raises:
        RuntimeError: It has none.
    """
    seen_ms = kernel.execute(code).first_stream_ms
    if seen_ms is None:
        raise RuntimeError("the line never came")
    return seen_ms


def many_prints(bench: Bench) -> list[Result]:
    """A cell that prints 100,000 lines."""
    code = PRINTS.format(count=bench.count(100_000, 1_000))
    return wait_and_cpu(bench, _PRINTS, code, turns=20, restarts=4, warm_up=2)


def many_lines(bench: Bench) -> list[Result]:
    """A cell that prints 50 MB."""
    code = LINES.format(count=bench.count(500_000, 1_000), size=100)
    return wait_and_cpu(bench, _LINES, code, turns=12, restarts=3, warm_up=1)


def many_displays(bench: Bench) -> list[Result]:
    """A cell that displays 2,000 numbers."""
    code = DISPLAYS.format(count=bench.count(2_000, 20))
    return wait_and_cpu(bench, _DISPLAYS, code, turns=20, restarts=4, warm_up=2)


_RUNS: Final = {
    _FIRST_PRINT: first_print,
    _PRINTS: many_prints,
    _LINES: many_lines,
    _DISPLAYS: many_displays,
}
BENCHMARKS: Final = tuple(
    Benchmark(name=figure.name, about=figure.title, run=run) for figure, run in _RUNS.items()
)
