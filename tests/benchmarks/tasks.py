"""What tasks cost: a report of many cells, and a cell inside an open task and step.

Called by `run.py`.
"""

import contextlib
import gc
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Pairs,
    Result,
    Target,
    alternate,
    on_top_of,
    pairs_of,
    side_by_side,
)
from live import environment
from sample_records import TASKS, write_home

_CLI: Final = "import sys; from flow_kernel.apps.cli import main; sys.exit(main())"
# The least that anybody writes: the cells as a list, in the order of the file.
_BY_HAND: Final = """
import html, json, sys
rows = []
with open(sys.argv[1], encoding="utf-8") as lines:
    for line in lines:
        cell = json.loads(line)
        if cell["kind"] == "cell":
            texts = (cell["timestamp"], cell["status"], str(cell["elapsed_ms"]), cell["code"])
            names = " ".join(cell["added_vars"] + cell["changed_vars"])
            row = "".join(f"<td>{html.escape(text)}</td>" for text in (*texts, names))
            rows.append(f"<tr>{row}</tr>")
with open(sys.argv[2], "w", encoding="utf-8") as file:
    file.write(f"<!doctype html><table>{''.join(rows)}</table>")
"""
_REPORT: Final = Figure(
    name="report_10k",
    title="the HTML report of a task with 10,000 cells",
    unit="s",
    target=Target(at_most=2),
)
_OPEN: Final = Figure(
    name="task_open",
    title="an open task and step, on top of a recorded cell, CPU in one shell",
    unit="ms",
    target=Target(at_most=0.05),
)
_CELLS: Final = ("x = 1", "y = [x] * 3", "y.append(x)", "len(y)")


def report(bench: Bench) -> list[Result]:
    """`jupyter flow report --html`, start of the interpreter included."""
    home = _home(bench, cells=bench.count(10_000, 100))
    log = home / "log" / "local" / "T-0001.jsonl"
    ours = [sys.executable, "-c", _CLI, "report", "--task", "T-0001", "--html"]
    peer = [sys.executable, "-c", _BY_HAND, str(log)]
    taken = alternate(
        bench.count(7, 1),
        bench.rng,
        ours=lambda _: _timed([*ours, str(home / "ours.html")], home),
        peer=lambda _: _timed([*peer, str(home / "peer.html")], home),
    )
    size = (home / "ours.html").stat().st_size
    note = f"{size / 1e6:.1f} MB of HTML, the peer's {_size(home / 'peer.html'):.1f} MB"
    return [
        side_by_side(_REPORT, pairs_of(taken), peer="json.loads, html.escape by hand", note=note)
    ]


def open_task(bench: Bench) -> list[Result]:
    """Cells inside an open task and step, beside the same cells outside any."""
    cpu = Pairs()
    for _ in range(bench.count(3, 1)):
        with tempfile.TemporaryDirectory(dir=bench.tmp) as folder:
            done = subprocess.run(
                [sys.executable, __file__, str(bench.count(60, 2))],
                env={**os.environ, "FLOW_HOME": f"{folder}/.flow", "IPYTHONDIR": folder},
                capture_output=True,
                text=True,
                check=True,
            )
        inside, outside = json.loads(done.stdout.splitlines()[-1])
        cpu.ours += inside
        cpu.peers += outside
    return [on_top_of(_OPEN, cpu, peer="the same shell, no task open", note="on top of the peer")]


def _home(bench: Bench, *, cells: int) -> Path:
    """A home with the task T-0001 and the records of its cells, among those of others."""
    from flow_kernel.records.home import Home  # as its users load it
    from flow_kernel.session.open_home import flow_of  # with it

    home = bench.folder("report")
    # First: an id that the logs know is given to no new task.
    flow = flow_of(Home(home), author="benchmark")
    flow.start_task("A long task", steps=["load", "fit"])
    flow.close()
    write_home(home, records=TASKS * cells, rng=random.Random(4))
    return home


def _timed(command: list[str], home: Path) -> float:
    env = environment(home.parent, {"FLOW_HOME": str(home)})
    started = time.perf_counter()
    done = subprocess.run(command, env=env, cwd=home.parent, capture_output=True, check=False)
    took_s = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.decode()[-300:]}")
    return took_s


def _size(path: Path) -> float:
    return path.stat().st_size / 1e6


def _measure(turns: int) -> tuple[list[float], list[float]]:
    from IPython.core.interactiveshell import InteractiveShell  # only in the process measured
    from traitlets.config import Config  # only in the process measured

    from flow_kernel.settings import Settings  # only in the process measured
    from flow_kernel.shell.opening import open_attachment  # only in the process measured

    # IPython's history has a thread of its own, which wakes at each cell.
    config = Config()
    config.HistoryAccessor.enabled = False
    shell: Any = InteractiveShell.instance(config=config)
    attachment = open_attachment(shell, None, Settings())
    tasks = attachment.session.tasks
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(2 * turns + 4):
        is_outside = (turn + turn // 2) % 2  # in, out, out, in: no order is favoured
        if not is_outside:
            tasks.start("Work")
            tasks.step("load")
        for _ in range(2):
            shell.run_cell("pass", store_history=True)
        gc.collect()
        with contextlib.redirect_stdout(io.StringIO()):
            before = time.process_time_ns()
            for cell in _CELLS * 5:
                shell.run_cell(cell, store_history=True)
            used_ms = (time.process_time_ns() - before) / 1e6 / (5 * len(_CELLS))
        if turn >= 4:
            found[is_outside].append(used_ms)
        if not is_outside:
            tasks.finish()
    attachment.session.close()
    return found


BENCHMARKS: Final = (
    Benchmark(name=_REPORT.name, about=_REPORT.title, run=report),
    Benchmark(name=_OPEN.name, about=_OPEN.title, run=open_task),
)

if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
