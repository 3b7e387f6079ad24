"""Attempts of steps, and one loop to run them in.

Used by the tests of executors.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import psutil

from flow_kernel.workers.limits import Limits
from flow_kernel.workflow.executors.contract import Context, Executor, Order, Outcome
from flow_kernel.workflow.model import StepType
from flow_kernel.workflow.registry import Executors

DEADLINE_S = 40.0

WAITS_FOR_A_FILE = """
import pathlib, sys, time
print("begun", file=sys.stderr, flush=True)
while not pathlib.Path({path!r}).exists():
    time.sleep(0.005)
print("seen")
"""
HAS_CHILDREN = """
import subprocess, sys, time
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
import os
print(os.getpid(), *[each.pid for each in children], file=sys.stderr, flush=True)
time.sleep(60)
"""
LEAVES_A_DAEMON = """
import os, sys, time
reads, writes = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writes, str(os.getpid()).encode())
        os.close(1)
        os.close(2)
        time.sleep(60)
    os._exit(0)
os.wait()
print(os.read(reads, 20).decode())
"""


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock is set forward: a time is up at the moment that is wanted, not before."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        super().__init__()

    def time(self) -> float:
        """The clock of all its timers."""
        return super().time() + self._ahead_s

    def leap(self, seconds: float) -> None:
        """So much time has passed."""
        self._ahead_s += seconds


@dataclass
class Attempts:
    """An executor under test, and a directory for its scripts."""

    runner: asyncio.Runner
    executor: Executor
    directory: Path
    count: list[int] = field(default_factory=lambda: [0])

    def order(
        self,
        source: str,
        *,
        limits: Limits | None = None,
        variables: bytes = b"{}",
        **more: Any,
    ) -> Order:
        """One attempt; its script is a file of its own."""
        self.count[0] += 1
        number = self.count[0]
        script = self.directory / f"step_{number}.py"
        script.write_text(source, encoding="utf-8")
        said: dict[str, Any] = {
            "run_id": "R-0001",
            "step_id": f"step {number}",
            "number": number,
            "attempt": 1,
            "step_type": StepType.PYTHON_SCRIPT,
            "source": source,
            "filename": str(script),
            "beside": str(self.directory),
            "variables": variables,
            "directory": str(self.directory),
            "limits": limits or Limits(timeout_s=20.0, output_bytes=64_000_000),
        }
        return Order(**(said | more))

    def run(
        self, order: Order | str, log: Callable[[str], object] = lambda _: None
    ) -> tuple[Outcome, str]:
        """What came of it, and what it wrote to stderr; `log` hears that as it comes."""
        order = self.order(order) if isinstance(order, str) else order
        said: list[bytes] = []

        def hear(data: bytes) -> None:
            said.append(data)
            log(data.decode("utf-8", "replace"))

        outcome: Outcome = self.wait(self.executor.run(order, hear))
        return outcome, b"".join(said).decode("utf-8", "replace")

    def wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run it to its end, in bounded time."""

        async def bounded() -> Any:
            async with asyncio.timeout(DEADLINE_S):
                return await coroutine

        return self.runner.run(bounded())


def made(runner: asyncio.Runner, name: str, directory: Path, **options: Any) -> Attempts:
    """An executor of ours, as a run makes it."""
    files = directory / "files"
    files.mkdir(parents=True)
    context = Context(
        run_id="R-0001", files=files, workers=2, env=dict(os.environ), options=options
    )

    async def make() -> Executor:
        return Executors(context).get(name)

    return Attempts(runner, runner.run(make()), directory)


def lives(pid: int) -> bool:
    """True unless it has ended; one that nobody has reaped has."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def begin_what_dask_keeps() -> None:
    """A thread and a process that Dask begins once in a process, and leaves there."""
    from distributed.utils import _offload_executor

    resource_tracker.ensure_running()
    _offload_executor.submit(int).result()
