"""What it costs that a cell runs in a worker, beside the same cell in stock ipykernel.

Called by `run.py`. A client waits for everything here but for what only the session sees (the
claim of a worker, the memory of an idle one), which is read in its kernel.
"""

import time
from typing import Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Result,
    Target,
    alone,
    alternate,
    on_top_of,
    pairs_of,
    side_by_side,
)
from live import FLOW, STOCK, Kernel
from together import STOCK_NAME, kernels, run_cell

ISOLATED: Final = "%%isolated\n"
_REST: Final = "import time; time.sleep(0.5)"
_BIG: Final = "import numpy as np; big = np.ones(12_500_000)"
_STIR: Final = "big[0] += 1"
_POOL: Final = "from flow_kernel import current_session; pool = current_session().isolation.pool"
_USS: Final = (
    "import psutil, time\n"
    "while not pool._spares[0].done(): time.sleep(0.01)\n"
    "found = psutil.Process(pool._spares[0].result().pid).memory_full_info().uss"
)
_CLAIM: Final = (
    "import time\nwhile not pool._spares[0].done(): time.sleep(0.01)\n"
    "began = time.perf_counter(); worker = pool.lease(None)\n"
    "found = (time.perf_counter() - began) * 1000; pool.end(worker)"
)
_NEW: Final = (
    "import time\nwhile not pool._spares[0].done(): time.sleep(0.01)\n"
    "began = time.perf_counter(); worker = pool._begin().result()\n"
    "found = (time.perf_counter() - began) * 1000; pool.end(worker)"
)

_WARM: Final = Figure(
    name="isolated_one_plus_one",
    title="isolated 1+1 until idle, beside a local one of stock",
    unit="ms",
    target=Target(at_most=1.0, of="ratio"),
)
_CLAIMED: Final = Figure(
    name="isolated_claim", title="claim of an idle worker", unit="ms", target=Target(at_most=10)
)
_STARTED: Final = Figure(
    name="isolated_new_worker",
    title="new worker, no spare, to its first result",
    unit="ms",
    target=Target(at_most=60),
)
_COLD: Final = Figure(
    name="isolated_new_beside_cold",
    title="new worker to its first result, beside a cold ipykernel",
    unit="ms",
    target=Target(at_most=0.125, of="ratio"),
)
_IN: Final = Figure(
    name="isolated_array_in",
    title="cell with a 100 MB array that is new to the worker, over one without",
    unit="ms",
    target=Target(at_most=100),
)
_THERE: Final = Figure(
    name="isolated_array_there",
    title="the same, where it is there already",
    unit="ms",
    target=Target(at_most=2),
)
_OUT: Final = Figure(
    name="isolated_array_out",
    title="a 100 MB array back to the session, over a cell without",
    unit="ms",
    target=Target(at_most=200),
)
_DEATH: Final = Figure(
    name="isolated_death",
    title="death of a worker to the error in the cell",
    unit="ms",
    target=Target(at_most=250),
)
_FORKED: Final = Figure(
    name="isolated_fork",
    title="1+1 in a copy of a session that has 1 GiB, until idle",
    unit="ms",
    target=Target(at_most=60),
)
_FORKED_OUT: Final = Figure(
    name="isolated_fork_out",
    title="a 100 MB array back from a copy, over a copy that keeps it",
    unit="ms",
    target=Target(at_most=200),
)
_MEMORY: Final = Figure(
    name="isolated_idle_uss",
    title="memory of an idle worker that nobody else has",
    unit="MB",
    target=Target(at_most=20),
)


def warm(bench: Bench) -> list[Result]:
    """The smallest cell in a worker that has run many."""
    with kernels(bench, FLOW, STOCK) as (ours, stock):
        for _ in range(bench.count(40, 2)):
            ours.execute(f"{ISOLATED}1+1")
            stock.execute("1+1")
        taken = alternate(
            bench.count(200, 3),
            bench.rng,
            ours=lambda _: run_cell(ours, f"{ISOLATED}1+1").idle_ms,
            peer=lambda _: run_cell(stock, "1+1").idle_ms,
        )
    return [side_by_side(_WARM, pairs_of(taken), peer=f"{STOCK_NAME}, local")]


def claims(bench: Bench) -> list[Result]:
    """How long a cell waits for a worker: one that is ready, and one that has to be made."""
    turns = bench.count(20, 2)
    with kernels(bench, FLOW) as (kernel,):
        warm_up(kernel)
        claimed = [_number(bench, kernel, _CLAIM) for _ in range(turns)]
        started = [_number(bench, kernel, _NEW) + _fresh_cell(kernel) for _ in range(turns)]
    return [alone(_CLAIMED, claimed), alone(_STARTED, started)]


def beside_cold(bench: Bench) -> list[Result]:
    """A worker beside a kernel that is started as clients do it."""

    def cold(_: int) -> float:
        began = time.perf_counter()
        with Kernel(STOCK, bench.folder("cold")) as kernel:
            kernel.wait_until_ready()
            kernel.execute("1+1")
            return (time.perf_counter() - began) * 1000

    with kernels(bench, FLOW) as (kernel,):
        warm_up(kernel)
        taken = alternate(
            bench.count(12, 2),
            bench.rng,
            ours=lambda _: _number(bench, kernel, _NEW) + _fresh_cell(kernel),
            peer=cold,
        )
    return [side_by_side(_COLD, pairs_of(taken), peer="cold ipykernel")]


def arrays(bench: Bench) -> list[Result]:
    """100 MB into a worker, when it is there, and back."""
    turns = bench.count(12, 2)
    plain, named = f"{ISOLATED}1+1", f"{ISOLATED}big.nbytes"
    made = f"{ISOLATED}import numpy as np; result = np.ones(12_500_000)"
    back = "%%isolated --out result\nresult[0] += 1"
    stays = f"{ISOLATED}result[0] += 1"
    with kernels(bench, FLOW) as (kernel,):
        warm_up(kernel)
        kernel.execute(_BIG)
        kernel.execute(made)
        for _ in range(3):
            kernel.execute(_STIR)
            kernel.execute(named)
            kernel.execute(back)

        def sent(_: int) -> float:
            kernel.execute(_STIR)
            return kernel.execute(named).idle_ms

        new = alternate(turns, bench.rng, ours=sent, peer=lambda _: kernel.execute(plain).idle_ms)
        kernel.execute(named)
        there = alternate(
            turns,
            bench.rng,
            ours=lambda _: kernel.execute(named).idle_ms,
            peer=lambda _: kernel.execute(plain).idle_ms,
        )
        out = alternate(
            turns,
            bench.rng,
            ours=lambda _: kernel.execute(back).idle_ms,
            peer=lambda _: kernel.execute(stays).idle_ms,
        )
    return [
        on_top_of(_IN, pairs_of(new), peer="without"),
        on_top_of(_THERE, pairs_of(there), peer="without"),
        on_top_of(_OUT, pairs_of(out), peer="stays there"),
    ]


def deaths(bench: Bench) -> list[Result]:
    """From the request for a cell that dies at once to its error, over one that lives."""
    died = (
        "try: get_ipython().run_cell_magic('isolated', '--fresh', 'import os; os._exit(1)')\n"
        "except Exception as error: assert type(error).__name__ == 'WorkerDied'"
    )
    with kernels(bench, FLOW) as (kernel,):
        warm_up(kernel)
        taken = [_after_a_rest(kernel, died) for _ in range(bench.count(15, 2))]
    return [alone(_DEATH, taken, note="with the claim of its worker")]


def forks(bench: Bench) -> list[Result]:
    """A cell in a copy of a session with 1 GiB of arrays and a million objects."""
    turns = bench.count(40, 2)
    small, big = "%%isolated --fork\n1+1", "result = np.ones(12_500_000)"
    with kernels(bench, FLOW) as (kernel,):
        kernel.execute("import numpy as np; held = [np.ones(1 << 24) for _ in range(8)]")
        kernel.execute("objects = [str(n) for n in range(1_000_000)]")
        for _ in range(5):
            kernel.execute(small)
        taken = [kernel.execute(small).idle_ms for _ in range(turns)]
        out = alternate(
            bench.count(10, 2),
            bench.rng,
            ours=lambda _: kernel.execute(f"%%isolated --fork --out result\n{big}").idle_ms,
            peer=lambda _: kernel.execute(f"%%isolated --fork\n{big}").idle_ms,
        )
    return [
        alone(_FORKED, taken, note="no peer runs a cell in its live session's copy"),
        on_top_of(_FORKED_OUT, pairs_of(out), peer="stays there"),
    ]


def memory(bench: Bench) -> list[Result]:
    """What an idle worker has for itself."""
    with kernels(bench, FLOW) as (kernel,):
        warm_up(kernel)
        taken = [_number(bench, kernel, _USS) / 1e6 for _ in range(bench.count(3, 1))]
    return [alone(_MEMORY, taken)]


def warm_up(kernel: Kernel) -> None:
    """Has it prepare a zygote that has learned, a worker and a spare."""
    kernel.execute(_POOL)
    for _ in range(3):
        kernel.execute("%%isolated --fresh\n1+1")
    for _ in range(5):
        kernel.execute(f"{ISOLATED}1+1")
    kernel.execute(_REST)


def _after_a_rest(kernel: Kernel, code: str) -> float:
    """A new spare is ready by then."""
    kernel.execute(_REST)
    return kernel.execute(code).idle_ms


def _fresh_cell(kernel: Kernel) -> float:
    return kernel.execute(f"{ISOLATED}1+1").idle_ms


def _number(bench: Bench, kernel: Kernel, code: str) -> float:
    """What a cell has found, by way of a file."""
    path = bench.folder("found") / "number"
    kernel.execute(f"{code}\nopen({str(path)!r}, 'w').write(str(found))")
    return float(path.read_text(encoding="utf-8"))


BENCHMARKS: Final = (
    Benchmark(name="isolated_one_plus_one", about=_WARM.title, run=warm),
    Benchmark(name="isolated_claim", about="claim of a worker, and a new one", run=claims),
    Benchmark(name="isolated_new_beside_cold", about=_COLD.title, run=beside_cold),
    Benchmark(name="isolated_arrays", about="100 MB in, there already, and back", run=arrays),
    Benchmark(name="isolated_death", about=_DEATH.title, run=deaths),
    Benchmark(name="isolated_fork", about=_FORKED.title, run=forks),
    Benchmark(name="isolated_idle_uss", about=_MEMORY.title, run=memory),
)
