"""How long a session that is busy needs to tell its state, beside what stock can be asked.

Called by `run.py`.

The peer is the one question that a stock ipykernel answers on its control channel while a cell
runs: who it is. Both run the same cell: one that waits in a lock, or one that computes in Python.
"""

import statistics
import time
from functools import partial
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side
from live import FLOW, STOCK, Client
from together import STOCK_NAME, kernels

_BLOCKED: Final = Figure(
    name="control_blocked",
    title="state of a session whose cell blocks",
    unit="ms",
    target=Target(at_most=5),
)
_COMPUTING: Final = Figure(
    name="control_computing",
    title="state of a session whose cell computes in Python",
    unit="ms",
    target=Target(at_most=100),
)
_WORK: Final = {
    "control_blocked": "import threading\nthreading.Event().wait({seconds})",
    "control_computing": (
        "import time\nuntil = time.monotonic() + {seconds}\n"
        "while time.monotonic() < until:\n    sum(range(1000))"
    ),
}
_CELL_S: Final = 0.4
_QUESTIONS: Final = 5
_REST_S: Final = 0.02


def _asked(bench: Bench, *, figure: Figure) -> list[Result]:
    work = _WORK[figure.name].format(seconds=_CELL_S)
    with kernels(bench, FLOW, STOCK) as (ours, stock):
        taken = alternate(
            bench.count(30, 3),
            bench.rng,
            ours=lambda _: _ask_ms(ours.client, work, "flow_request", {"op": "status"}),
            peer=lambda _: _ask_ms(stock.client, work, "kernel_info_request", {}),
        )
    return [side_by_side(figure, pairs_of(taken), peer=f"{STOCK_NAME}, who it is")]


def _ask_ms(client: Client, work: str, kind: str, content: dict[str, object]) -> float:
    """Milliseconds of one question, the median of some that are asked while a cell runs."""
    began = time.perf_counter()
    cell = client.begin(work)
    took_ms = []
    for _ in range(_QUESTIONS):
        time.sleep(_REST_S)
        asked = time.perf_counter()
        took_ms.append((client.reply_at(kind, content, channel="control") - asked) * 1000)
    client.end(cell, started=began)
    return statistics.median(took_ms)


BENCHMARKS: Final = tuple(
    Benchmark(name=figure.name, about=figure.title, run=partial(_asked, figure=figure))
    for figure in (_BLOCKED, _COMPUTING)
)
