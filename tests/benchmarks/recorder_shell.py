"""What recording one cell costs in CPU, in one IPython shell and without a kernel around it.

Called by `run.py`. The same cells run in one process with the recorder's hooks on and off in turn;
the figure is what the process used more with them. Beside `recorder_cpu`, which measures in a live
kernel between messages, this one shows the recorder alone, with warm caches and no other thread
that wants the interpreter.
"""

import contextlib
import functools
import gc
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any, Final

from harness import Bench, Benchmark, Figure, Pairs, Result, Target, on_top_of
from recorder_cpu import CELLS, FILL

_LIMIT_MS: Final = {200: 0.2, 5_000: 0.8, 100_000: 25.0}


def recorder(bench: Bench, *, variables: int) -> list[Result]:
    """The recorder's share at one size of the namespace."""
    cpu = Pairs()
    for _ in range(bench.count(3, 1)):
        turns = bench.count(40 if variables < 50_000 else 12, 2)
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [sys.executable, __file__, str(variables), str(turns)],
                env={**os.environ, "FLOW_HOME": f"{folder}/.flow", "IPYTHONDIR": folder},
                capture_output=True,
                text=True,
                check=True,
            )
        recording, silent = json.loads(done.stdout.splitlines()[-1])
        cpu.ours += recording
        cpu.peers += silent
    figure = Figure(
        name=f"recorder_cpu_shell_{variables}",
        title=f"recorder per cell at {variables:,} variables, CPU in one shell",
        unit="ms",
        target=Target(at_most=_LIMIT_MS[variables]),
    )
    return [on_top_of(figure, cpu, peer="the same shell, not recording", note="on top of the peer")]


def _measure(variables: int, turns: int) -> tuple[list[float], list[float]]:
    from IPython.core.interactiveshell import InteractiveShell  # only in the process measured
    from traitlets.config import Config  # only in the process measured

    from flow_kernel.settings import Settings  # only in the process measured
    from flow_kernel.shell.opening import open_attachment  # only in the process measured

    # IPython's history has a thread of its own, which wakes at each cell and commits as often as it
    # gets the interpreter: that would be measured, and any call to the system changes it.
    config = Config()
    config.HistoryAccessor.enabled = False
    shell: Any = InteractiveShell.instance(config=config)
    exec(FILL.format(count=variables), shell.user_ns)
    attachment = open_attachment(shell, None, Settings())
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(2 * turns + 4):
        is_off = (turn + turn // 2) % 2  # on, off, off, on: no order is favoured
        if is_off:
            attachment.detach()
        for _ in range(2):
            shell.run_cell("pass", store_history=True)
        gc.collect()
        with contextlib.redirect_stdout(io.StringIO()):
            before = time.process_time_ns()
            for cell in CELLS * 3:
                shell.run_cell(cell, store_history=True)
            used_ms = (time.process_time_ns() - before) / 1e6 / (3 * len(CELLS))
        if turn >= 4:
            found[is_off].append(used_ms)
        if is_off:
            attachment.attach()
    attachment.session.close()
    return found


BENCHMARKS: Final = tuple(
    Benchmark(
        name=f"recorder_cpu_shell_{variables}",
        about=f"recorder per cell at {variables:,} variables, CPU in one shell",
        run=functools.partial(recorder, variables=variables),
    )
    for variables in _LIMIT_MS
)

if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]))))
