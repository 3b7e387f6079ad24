"""How soon a cell that does not go on is told of, and what it costs to look.

Called by `run.py`. The time is that from the request to the first text in the cell, which is the
watchdog's; then the cell is interrupted.
"""

import signal
import threading
import time
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alone
from live import FLOW, Kernel
from together import kernels

_CALM: Final = "try: get_ipython().run_cell_magic('isolated', {options!r}, {code!r})\n" + (
    "except BaseException as error: pass"
)
_MS: Final = 1000
_LOOP: Final = "while True: pass"
_DEADLOCK: Final = "import queue; queue.Queue().get()"
_HOLDS: Final = "sum(range(10**12))"
_FORKS: Final = """
import os, time
for _ in range(100):
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
time.sleep(600)
"""
_COST: Final = """%%isolated
import time
def others(): return time.process_time() - time.thread_time()
end, before = time.monotonic() + {seconds}, others()
while time.monotonic() < end: pass
open({path!r}, 'w').write(str(others() - before))
"""


def _figure(name: str, title: str, at_most_ms: float) -> Figure:
    return Figure(
        name=f"watchdog_{name}", title=title, unit="ms", target=Target(at_most=at_most_ms)
    )


_TOLD: Final = {
    "loop": (_figure("loop", "an endless loop to the word of it", 2500), _LOOP),
    "deadlock": (_figure("deadlock", "a deadlock to the word of it", 2500), _DEADLOCK),
    "gil": (_figure("gil", "native code that holds the GIL to the word of it", 5000), _HOLDS),
    "forks": (_figure("forks", "a hundred forks to the word of it", 500), _FORKS),
}
_SHARE: Final = Figure(
    name="watchdog_cpu",
    title="session and sampler beside a cell that computes",
    unit="% of a core",
    target=Target(at_most=1.0),
)


def told(bench: Bench) -> list[Result]:
    """Each kind of block."""
    results = []
    with kernels(bench, FLOW) as (kernel,):
        kernel.execute("%%isolated\n1+1")
        for figure, code in _TOLD.values():
            taken = [_told_ms(kernel, code) for _ in range(bench.count(5, 1))]
            results.append(alone(figure, taken))
    return results


def cost(bench: Bench) -> list[Result]:
    """CPU time of the session, and of all threads of the worker but the cell's, over the cell's."""
    seconds = bench.count(10, 2)
    with kernels(bench, FLOW) as (kernel,):
        kernel.execute("%%isolated\n1+1")
        taken = [_share(bench, kernel, seconds) for _ in range(bench.count(3, 1))]
    return [alone(_SHARE, taken, note=f"over {seconds} s, with all else that the session does")]


def _told_ms(kernel: Kernel, code: str) -> float:
    """An interrupt ends what hears one; the fourth kills the rest."""
    is_over = threading.Event()

    def interrupt() -> None:
        wait_s = 9.0 if code == _HOLDS else 3.0
        while not is_over.wait(wait_s):
            kernel.process.send_signal(signal.SIGINT)
            wait_s = 0.5

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        timing = kernel.execute(_CALM.format(options="--fresh", code=code))
    finally:
        is_over.set()
        thread.join()
    if timing.first_stream_ms is None:
        raise RuntimeError(f"nothing was told of {code[:30]!r}")
    return timing.first_stream_ms


def _share(bench: Bench, kernel: Kernel, seconds: int) -> float:
    path = bench.folder("others") / "s"
    before, began = kernel.cpu_ms(), time.perf_counter()
    kernel.execute(_COST.format(seconds=seconds, path=str(path)))
    passed_ms = (time.perf_counter() - began) * _MS
    others_ms = float(path.read_text(encoding="utf-8")) * _MS
    return 100 * (kernel.cpu_ms() - before + others_ms) / passed_ms


BENCHMARKS: Final = (
    Benchmark(name="watchdog_told", about="loop, deadlock, GIL and forks, to the word", run=told),
    Benchmark(name="watchdog_cpu", about=_SHARE.title, run=cost),
)
