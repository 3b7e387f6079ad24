"""What grows with a workflow, and what a killed run waits for: bytes, memory, going on.

Called by `workflows.py`. Each figure is taken in a process that was started for it, but for going
on in a process that is warm.
"""

import json
import os
import random
import shutil
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil
from harness import Bench, Benchmark, Figure, Result, Target, alone
from workflow_home import LENGTH, BenchHome
from workflow_program import STOPS

from flow_kernel.workflow import events

HERE: Final = Path(__file__).parent
_DEADLINE_S: Final = 120.0
BLOB_BYTES: Final = 1_000_000

_STORAGE: Final = Figure(
    name="storage",
    title="1 MB of variables that nothing changes, 100 steps, on the disk",
    unit="MB",
    target=Target(at_most=2),
)
_RESUME: Final = Figure(
    name="resume_cold",
    title="`jupyter flow resume` after kill -9 until the script of a step runs",
    unit="ms",
    target=Target(at_most=200),
)
_RESUME_WARM: Final = Figure(
    name="resume_warm",
    title="the same in a process that is there, until the step is started",
    unit="ms",
    target=Target(at_most=200),
)
_CHECKED: Final = Figure(
    name="checked_10k", title="10,000 steps checked", unit="ms", target=Target(at_most=500)
)
_STARTED: Final = Figure(
    name="started_10k",
    title="10,000 steps, checked, until the first begins",
    unit="ms",
    target=Target(at_most=1000),
)


def blob() -> str:
    """Text of 1 MB that does not compress well; the same in each process."""
    return "".join(random.Random(1).choices(string.ascii_letters, k=BLOB_BYTES))


def _storage(bench: Bench) -> list[Result]:
    home = BenchHome(bench.folder("storage"))
    home.run(home.chain(bench.count(LENGTH, 3)), "inline", {"blob": blob()})
    return [alone(_STORAGE, [home.size() / 1e6])]


def _resume(bench: Bench) -> list[Result]:
    cold = [_resumed_cold(bench.folder("cold")) for _ in range(bench.count(9, 1))]
    warm = [_resumed_warm(bench.folder("warm")) for _ in range(bench.count(9, 1))]
    return [
        alone(_RESUME, cold, note="the start of Python and all imports are in it"),
        alone(_RESUME_WARM, warm),
    ]


def _resumed_cold(folder: Path) -> float:
    _killed(folder)
    command = [sys.executable, "-m", "flow_kernel.apps.cli", "resume", "--quiet"]
    began = time.monotonic_ns()
    subprocess.run(
        [*command, "--home", str(folder / ".flow")],
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=_DEADLINE_S,
    )
    trace = (folder / "trace").read_text("ascii").splitlines()
    numbers = [int(line.split()[0]) for line in trace]
    if numbers != [*range(STOPS + 1), *range(STOPS, 2 * STOPS)]:
        raise ValueError(f"other steps ran than the one that was interrupted: {numbers}")
    return (int(trace[STOPS + 1].split()[1]) - began) / 1e6


def _resumed_warm(folder: Path) -> float:
    _killed(folder)
    home = BenchHome(folder)
    found: list[float] = []

    def tell(event: events.Event) -> None:
        if isinstance(event, events.StepBegan) and not found:
            found.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    (row,) = home.service.book.unfinished()
    home.service.run(home.service.book.claim(row.run_id), tell)
    home.close()
    return found[0]


def _killed(folder: Path) -> None:
    """A run whose runner was killed in the middle; it is over once `resume` is called."""
    command = [sys.executable, str(HERE / "workflow_program.py"), "chain", str(folder)]
    with subprocess.Popen(command, cwd=folder) as process:
        deadline = time.monotonic() + _DEADLINE_S
        while _lines(folder / "trace") <= STOPS:
            if time.monotonic() > deadline or process.poll() is not None:
                process.kill()
                raise TimeoutError("the chain did not come to its middle")
            time.sleep(0.01)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    if alive:
        raise ValueError(f"a killed runner leaves {alive}")
    (folder / "go").touch()


def _lines(path: Path) -> int:
    return len(path.read_text("ascii").splitlines()) if path.exists() else 0


def _graph(bench: Bench) -> list[Result]:
    sizes = {1_000: 3, 10_000: 7, 100_000: 2} if not bench.quick else {10: 1, 100: 1}
    found = {size: [_begun(bench, size) for _ in range(turns)] for size, turns in sizes.items()}
    most = 10_000 if 10_000 in found else max(found)
    results = [
        alone(_CHECKED, [each["checked_ms"] for each in found[most]]),
        alone(_STARTED, [each["started_ms"] for each in found[most]]),
    ]
    for size, taken in found.items():
        memory = Figure(name=f"memory_{size}", title=f"memory by step at {size:,} steps", unit="KB")
        results.append(alone(memory, [each["rss_bytes"] / size / 1000 for each in taken]))
    return results


def _begun(bench: Bench, size: int) -> dict[str, Any]:
    folder = bench.folder("graph")
    done = subprocess.run(
        [sys.executable, str(HERE / "workflow_program.py"), "graph", str(folder), str(size)],
        check=True,
        capture_output=True,
        timeout=_DEADLINE_S,
        env={**os.environ, "PYTHONPATH": str(HERE.parent.parent)},
    )
    shutil.rmtree(folder, ignore_errors=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


BENCHMARKS: Final = (
    Benchmark(name="storage", about="bytes of variables that do not change", run=_storage),
    Benchmark(name="resume", about="from resume to the first step", run=_resume),
    Benchmark(name="graph", about="10,000 steps: checked, begun, in memory", run=_graph),
)
