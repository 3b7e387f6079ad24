"""How soon cells in the background are out of the way, and ten workers at hand.

Called by `run.py`. All times are read in the kernel, by the cell that begins them.
"""

from pathlib import Path
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alone
from live import FLOW, Kernel
from together import kernels

_ROOT: Final = Path(__file__).parents[2]
_SETUP: Final = """
import time
from flow_kernel import current_session
magic = get_ipython().run_cell_magic
def begin(options=""):
    return magic("isolated", f"--bg --in none {options}", "1 + 1")
def named():
    return [each for each in pool.workers if each.name is not None]
"""
# No worker has a name yet: ten of them are all that a session may have.
_WARM: Final = "%%isolated --fresh --in none\n1+1"
_POOL: Final = "pool = current_session().isolation.pool"
_REST: Final = (
    "while not pool._spares[0].done() or len(pool.workers) > 1: time.sleep(0.01)\ntime.sleep(0.2)"
)
_CLAIM: Final = """
began = time.perf_counter()
handle = begin()
found = (time.perf_counter() - began) * 1000
handle.wait()
"""
_TEN_ENDED: Final = """
began = time.perf_counter()
handles = [begin() for _ in range(10)]
for handle in handles:
    handle.wait()
found = (time.perf_counter() - began) * 1000
assert {handle.state for handle in handles} == {"ok"}
"""
_TEN_READY: Final = """
began = time.perf_counter()
handles = [begin(f"--worker turn{turn}_{each}") for each in range(10)]
for handle in handles:
    handle.wait()
while [each.state for each in named()] != ["idle"] * 10:
    time.sleep(0.001)
found = (time.perf_counter() - began) * 1000
assert {handle.state for handle in handles} == {"ok"}
for each in named():
    pool.end(each)
while named():
    time.sleep(0.01)
"""

_CLAIMED: Final = Figure(
    name="background_claim", title="`--bg` until its handle is back", unit="ms"
)
_ENDED: Final = Figure(
    name="background_ten_ended",
    title="ten 1+1 with `--bg`, a new worker each, until all have ended",
    unit="ms",
)
_READY: Final = Figure(
    name="background_ten_ready",
    title="ten workers that have names, until each has run 1+1 and is idle",
    unit="ms",
    target=Target(at_most=500),
)


def claims(bench: Bench) -> list[Result]:
    """What the cell that begins one waits for."""
    return [alone(_CLAIMED, _taken(bench, _CLAIM, turns=bench.count(40, 2)))]


def ten(bench: Bench) -> list[Result]:
    """Ten at once."""
    return [
        alone(_ENDED, _taken(bench, _TEN_ENDED, turns=bench.count(12, 1))),
        alone(_READY, _taken(bench, _TEN_READY, turns=bench.count(12, 1))),
    ]


def _taken(bench: Bench, code: str, *, turns: int) -> list[float]:
    """What the cell finds, in a session of its own that has a spare."""
    with kernels(bench, FLOW, env={"PYTHONPATH": str(_ROOT)}) as (kernel,):
        for setup in (_SETUP, _WARM, _WARM, _POOL):
            kernel.execute(setup)
        return [_number(bench, kernel, code, turn) for turn in range(turns)]


def _number(bench: Bench, kernel: Kernel, code: str, turn: int) -> float:
    """What a cell has found, by way of a file."""
    path = bench.folder("found") / "number"
    kernel.execute(_REST)
    kernel.execute(f"turn = {turn}\n{code}\nopen({str(path)!r}, 'w').write(str(found))")
    return float(path.read_text(encoding="utf-8"))


BENCHMARKS: Final = (
    Benchmark(name="background_claim", about=_CLAIMED.title, run=claims),
    Benchmark(name="background_ten", about="ten workers at once", run=ten),
)
