"""Programs that the benchmarks of workflows start, so that each begins with a fresh process.

Run by `workflow_scale.py`:

    python workflow_program.py chain FOLDER      a chain whose middle step never ends
    python workflow_program.py graph FOLDER N    N steps: checked, begun; its times and memory
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import psutil
from workflow_home import BenchHome

from flow_kernel.workflow import events, spec
from flow_kernel.workflow.options import RunOptions

STOPS: Final = 10
"""The step of the chain that never ends while the file `go` is not there."""
STAMPED: Final = f"""\
import json, os, sys, time
began = time.monotonic_ns()
with open(sys.argv[2]) as file:
    variables = json.load(file)
with open("trace", "a") as trace:
    trace.write(f"{{variables['n']}} {{began}}\\n")
while variables["n"] == {STOPS} and not os.path.exists("go"):
    time.sleep(0.01)
print(json.dumps({{"n": variables["n"] + 1}}))
"""
_LAYER: Final = 100


def chain(folder: Path) -> None:
    """See the module."""
    home = BenchHome(folder)
    home.run(home.chain(2 * STOPS, STAMPED), "fork")


def graph(folder: Path, count: int) -> None:
    """Prints what it found when its first step begins, and ends."""
    steps: list[dict[str, Any]] = [
        {
            "id": f"s{at}",
            "code": "print(1)",
            "needs": [f"s{at - back}" for back in (_LAYER, _LAYER + 1) if at >= back],
        }
        for at in range(count)
    ]
    home = BenchHome(folder)
    process = psutil.Process()
    before = process.memory_info().rss
    began = time.perf_counter()
    found = spec.parse({"name": "wide", "steps": steps}, directory=folder)
    checked = time.perf_counter()

    def tell(event: events.Event) -> None:
        if isinstance(event, events.StepBegan):
            said = {
                "checked_ms": (checked - began) * 1000,
                "started_ms": (time.perf_counter() - checked) * 1000,
                "rss_bytes": process.memory_info().rss - before,
            }
            print(json.dumps(said), flush=True)
            os._exit(0)

    row = home.service.begin(found, options=RunOptions(executor="fork", workers=2))
    home.service.run(row, tell)


if __name__ == "__main__":
    if sys.argv[1] == "chain":
        chain(Path(sys.argv[2]))
    else:
        graph(Path(sys.argv[2]), int(sys.argv[3]))
