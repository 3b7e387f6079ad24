"""Steps to run, and one loop to run them in.

Used by the tests of this folder.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flow_kernel.workers.limits import Limits
from flow_kernel.workers.steps.contract import StepEnd, StepJob

DEADLINE_S = 30.0


class Runs(Protocol):
    async def run(self, job: StepJob, on_text: Callable[[bytes], None]) -> StepEnd: ...

    async def close(self) -> None: ...


@dataclass
class Steps:
    """Something that runs steps, and a directory for their scripts."""

    runner: asyncio.Runner
    runs: Runs
    directory: Path
    spares: int = 0

    def job(
        self,
        source: str,
        *args: str,
        limits: Limits | None = None,
        env: dict[str, str] | None = None,
    ) -> StepJob:
        script = self.directory / "script.py"
        script.write_text(source, encoding="utf-8")
        return StepJob(
            source=source,
            argv=(str(script), *args),
            filename=str(script),
            env={**os.environ, **(env or {})},
            cwd=str(self.directory),
            path=(str(self.directory), *(entry for entry in sys.path if entry)),
            limits=limits or Limits(timeout_s=20.0, output_bytes=64_000_000),
        )

    def program(self, *argv: str, limits: Limits | None = None) -> StepJob:
        return StepJob(
            source=None, argv=argv, env=dict(os.environ), cwd=str(self.directory),
            limits=limits or Limits(timeout_s=20.0, output_bytes=64_000_000),
        )  # fmt: skip

    def run(self, job: StepJob) -> tuple[StepEnd, str]:
        said: list[bytes] = []
        end = self.wait(self.runs.run(job, said.append))
        return end, b"".join(said).decode()

    def leap(self, seconds: float) -> None:
        """The clock of the loop goes on by so much at once: a limit passes when the test wants."""
        loop = self.runner.get_loop()
        time = loop.time
        loop.time = lambda: time() + seconds  # type: ignore[method-assign]

    def wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(_bounded(coroutine))


async def _bounded(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        return await awaitable
