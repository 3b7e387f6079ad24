"""Two kernels that are alive together and run the same cells turn by turn.

Called by the benchmark families that time cells, and by `peers.py`.

A short rest before each cell lets every kernel finish what it does after a reply, so that neither
pays for the other. That work is not lost: it is in the CPU figures, which are read from the clock
of the kernel's process, all its threads together, from one of its cells to its next.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from harness import Bench, Pairs, alternate, pairs_of
from live import Kernel

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


def take_turns(
    bench: Bench,
    turns: int,
    *,
    ours: Kernel,
    peer: Kernel,
    code: Callable[[int], str],
    warm_up: int = 40,
) -> tuple[Pairs, Pairs]:
    """Runs the cell `code(turn)` in both kernels, turn by turn, after some to warm up.

    Returns:
        ms from the request to `idle`, and ms of CPU a cell.
    """
    for turn in range(bench.count(warm_up, 2)):
        ours.execute(code(turn))
        peer.execute(code(turn))
    # One turn more than wanted: the CPU of a cell is known when the next one begins.
    taken = alternate(
        turns + 1,
        bench.rng,
        ours=lambda turn: run_cell(ours, code(turn)),
        peer=lambda turn: run_cell(peer, code(turn)),
    )
    waits = pairs_of([(mine.idle_ms, other.idle_ms) for mine, other in taken[:-1]])
    cpu = Pairs(
        steps([mine.cpu_ms_before for mine, _ in taken]),
        steps([other.cpu_ms_before for _, other in taken]),
    )
    return waits, cpu


def run_cell(kernel: Kernel, code: str) -> Cell:
    """Runs one cell after a rest."""
    time.sleep(_REST_S)
    used_ms = kernel.cpu_ms()
    return Cell(idle_ms=kernel.execute(code).idle_ms, cpu_ms_before=used_ms)


def steps(readings: Sequence[float]) -> list[float]:
    """What lies between each reading of a clock and the next."""
    return [after - before for before, after in itertools.pairwise(readings)]
