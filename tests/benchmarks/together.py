"""Two kernels that are alive together and run the same cells turn by turn.

Called by the benchmark families that time cells, and by `peers.py`.

A short rest before each cell lets every kernel finish what it does after a reply, so that neither
pays for the other. That work is not lost: it is in the CPU figures, which are read from the clock
of the kernel's process, all its threads together, from one of its cells to its next.
"""

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from harness import Bench, Figure, Pairs, Result, in_turn, side_by_side
from live import FLOW, STOCK, Kernel

STOCK_NAME: Final = "stock ipykernel"
_REST_S: Final = 0.003


@dataclass(frozen=True, slots=True)
class Cell:
    """How long a client waited for one cell, and what the kernel's CPU clock showed before it."""

    idle_ms: float
    cpu_ms_before: float


@contextmanager
def kernels(
    bench: Bench,
    *commands: Sequence[str],
    env: Mapping[str, str] | None = None,
) -> Iterator[list[Kernel]]:
    """One live kernel for each command line, each with a directory of its own."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(Kernel(argv, bench.folder("kernel"), env=env)) for argv in commands
        ]


def wait_and_cpu(
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
    """The wait for a cell as `figure`, and the CPU of its kernel, both beside stock."""
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


def beside_stock(
    bench: Bench,
    argv: Sequence[str],
    code: str,
    *,
    turns: int,
    restarts: int,
    setup: str = "pass",
    warm_up: int = 40,
) -> tuple[Pairs, Pairs]:
    """Runs the cell `code` in a kernel and in stock ipykernel, turn by turn.

    Two processes of the same program differ by some percent for as long as they live (addresses,
    the order in hash tables), so both are started anew several times.

    Returns:
        ms from the request to `idle`, and ms of CPU a cell.
    """
    waits, cpu = Pairs(), Pairs()
    for restart in range(bench.count(restarts, 1)):
        with kernels(bench, argv, STOCK, env={"PYTHONHASHSEED": str(restart)}) as both:
            for kernel in both:
                kernel.execute(setup)
                for _ in range(bench.count(warm_up, 2)):
                    kernel.execute(code)
            _take_turns(bench, max(turns // restarts, 3), both, code, (waits, cpu))
    return waits, cpu


def _take_turns(
    bench: Bench, turns: int, both: list[Kernel], code: str, results: tuple[Pairs, Pairs]
) -> None:
    ours, stock = both
    # One turn more than wanted: the CPU of a cell is known when the next one begins.
    mine, others = in_turn(
        bench.count(turns, 3) + 1,
        bench.rng,
        [lambda _: run_cell(ours, code), lambda _: run_cell(stock, code)],
    )
    waits, cpu = results
    waits.ours += [cell.idle_ms for cell in mine[:-1]]
    waits.peers += [cell.idle_ms for cell in others[:-1]]
    cpu.ours += steps([cell.cpu_ms_before for cell in mine])
    cpu.peers += steps([cell.cpu_ms_before for cell in others])


def run_cell(kernel: Kernel, code: str) -> Cell:
    """Runs one cell after a rest."""
    used_ms = rested_cpu_ms(kernel)
    return Cell(idle_ms=kernel.execute(code).idle_ms, cpu_ms_before=used_ms)


def rested_cpu_ms(kernel: Kernel) -> float:
    """The CPU clock of a kernel once it has done what it does after a reply."""
    time.sleep(_REST_S)
    return kernel.cpu_ms()


def steps(readings: Sequence[float]) -> list[float]:
    """What lies between each reading of a clock and the next."""
    return [after - before for before, after in itertools.pairwise(readings)]
