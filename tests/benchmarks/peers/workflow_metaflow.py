"""Metaflow on this machine: `python chain.py run`, and `resume` after a kill.

Run by `workflow_peers.py` in an environment with Metaflow. Each step is a process that it starts.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import workflow_work
from workflow_tool import RUNNER, serve

_HEAD: Final = """\
import os, workflow_work
from metaflow import FlowSpec, step
class Chain(FlowSpec):
    @step
    def start(self):
        self.n = 0
        if os.environ["BENCH_BLOB"]:
            self.blob = workflow_work.blob()
        self.next(self.s0)
"""
_STEP: Final = """\
    @step
    def s{at}(self):
        nap_s, trace = float(os.environ["BENCH_NAP_S"]), os.environ["BENCH_TRACE"]
        self.n = workflow_work.inc(self.n, nap_s, trace)
        self.next(self.{following})
"""
_TAIL: Final = """\
    @step
    def end(self):
        open("out", "w").write(str(self.n))
if __name__ == "__main__":
    Chain()
"""
_STORE: Final = Path(".metaflow")


class Metaflow:
    """See the module."""

    def begin(self) -> None:
        pass

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        return _call("run", length, nap_s, trace)

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        return _call("resume", length, nap_s, trace)

    def storage(self, length: int) -> int:
        before = workflow_work.bytes_below(_STORE)
        _call("run", length, blob="1")
        return workflow_work.bytes_below(_STORE) - before

    def end(self) -> None:
        pass


def _call(verb: str, length: int, nap_s: float = 0.0, trace: str = "", blob: str = "") -> int:
    names = [f"s{at + 1}" for at in range(length - 1)] + ["end"]
    steps = [_STEP.format(at=at, following=name) for at, name in enumerate(names)]
    Path("chain.py").write_text("".join([_HEAD, *steps, _TAIL]), encoding="utf-8")
    said = {"BENCH_NAP_S": str(nap_s), "BENCH_TRACE": trace, "BENCH_BLOB": blob}
    more = {"METAFLOW_USER": "bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(Path.cwd())}
    with Path("said").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "chain.py", verb],
            env={**os.environ, **more, **said},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        Path(RUNNER).write_text(str(process.pid), encoding="ascii")
        if process.wait():
            raise ValueError(Path("said").read_text(encoding="utf-8")[-1500:])
    return int(Path("out").read_text(encoding="ascii"))


if __name__ == "__main__":
    serve(Metaflow)
