"""What it costs to be there: importing the package, starting a kernel.

Called by `run.py`. Every measurement is a process of its own, ours and the peer's in turn.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
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
from live import FLOW, STOCK, Kernel, cell_content, environment
from together import STOCK_NAME

_HEAVY: Final = "{'ipykernel', 'IPython', 'zmq', 'tornado', 'traitlets', 'jupyter_client'}"
_LIST_HEAVY: Final = (
    "import flow_kernel, json, sys; "
    f"print(json.dumps(sorted({_HEAVY} & {{m.partition('.')[0] for m in sys.modules}})))"
)
_COLD_START: Final = (
    Figure(
        name="cold_start_kernel_info",
        title="cold start to the first kernel_info_reply",
        unit="ms",
        target=Target(at_most=1.05, of="ratio"),
    ),
    Figure(
        name="cold_start_execute",
        title="cold start to the first execute_reply",
        unit="ms",
        target=Target(at_most=1.05, of="ratio"),
    ),
    Figure(name="cold_start_cpu", title="CPU of the kernel until then", unit="ms"),
)


def import_time(bench: Bench) -> list[Result]:
    """`import flow_kernel` over an interpreter that imports nothing."""
    folder = bench.folder("import")
    for code in ("import flow_kernel", "pass"):
        _process_ms(code, folder)
    taken = alternate(
        bench.count(60, 3),
        bench.rng,
        ours=lambda _: _process_ms("import flow_kernel", folder),
        peer=lambda _: _process_ms("pass", folder),
    )
    time_over = on_top_of(
        Figure(
            name="import_time",
            title="import flow_kernel, on top of a bare interpreter",
            unit="ms",
            target=Target(at_most=10),
        ),
        pairs_of(taken),
        peer="bare interpreter",
        note="on top of the peer",
    )
    return [time_over, _heavy_modules(folder)]


def _heavy_modules(folder: Path) -> Result:
    listed = subprocess.run(
        [sys.executable, "-c", _LIST_HEAVY],
        env=environment(folder, {}),
        capture_output=True,
        check=True,
        cwd=folder,
    )
    found = json.loads(listed.stdout)
    return alone(
        Figure(
            name="import_heavy_modules",
            title="of ipykernel, IPython, zmq, … pulled in by that import",
            unit="packages",
            target=Target(at_most=0),
        ),
        [len(found)],
        note=", ".join(found),
    )


def _process_ms(code: str, folder: Path) -> float:
    env = environment(folder, {})
    started = time.perf_counter()
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", code], env)
    _, status = os.waitpid(pid, 0)
    took_ms = (time.perf_counter() - started) * 1000
    if status:
        raise RuntimeError(f"python -c {code!r} ended with {status}")
    return took_ms


def cold_start(bench: Bench) -> list[Result]:
    """From the start of the process to the first answers."""
    for argv in (FLOW, STOCK):
        _start(bench, argv)
    taken = alternate(
        bench.count(20, 1),
        bench.rng,
        ours=lambda _: _start(bench, FLOW),
        peer=lambda _: _start(bench, STOCK),
    )
    return [
        side_by_side(
            figure,
            pairs_of([(mine[column], other[column]) for mine, other in taken]),
            peer=STOCK_NAME,
        )
        for column, figure in enumerate(_COLD_START)
    ]


def _start(bench: Bench, argv: Sequence[str]) -> tuple[float, float, float]:
    """From the start of the process: ms to kernel_info_reply, to execute_reply, and ms of CPU."""
    with Kernel(argv, bench.folder("cold"), wait=False) as kernel:
        info_at = kernel.client.reply_at("kernel_info_request", {})
        cell_at = kernel.client.reply_at("execute_request", cell_content("1+1"))
        cpu_ms = kernel.cpu_ms()
    return (info_at - kernel.started) * 1000, (cell_at - kernel.started) * 1000, cpu_ms


BENCHMARKS: Final = (
    Benchmark(name="import_time", about="import flow_kernel, what it pulls in", run=import_time),
    Benchmark(name="cold_start", about="start of a kernel to its first answers", run=cold_start),
)
