"""Runs steps as ordinary programs, each with an interpreter of its own; on any system.

Used by whoever runs workflows, where nothing can be forked and for steps that ask for it.
"""

import asyncio
import marshal
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.records.process import oom_kills
from flow_kernel.workers import sweep
from flow_kernel.workers.steps import script_main
from flow_kernel.workers.steps.contract import StepEnd, StepJob
from flow_kernel.workers.steps.running import Running
from flow_kernel.workers.steps.watch import Watch

_PIECE: Final = 1 << 16
_DRAIN_S: Final = 1.0


class Spawned:
    """Runs them, from one event loop.

    Args:
        reason: Why they are not forked.
    """

    def __init__(self, *, reason: str = "a process of its own was asked for") -> None:
        self._reason = reason

    async def run(self, job: StepJob, on_text: Callable[[bytes], None]) -> StepEnd:
        """Run a step to its end; if this is cancelled, the step and all it has started is killed.

        Args:
            job: It.
            on_text: Gets what it writes to stderr, as it comes.

        Raises:
            IsolationUnavailable: The program cannot be started.
        """
        argv, order = job.argv, None
        if job.source is not None:
            order = _order(job)
            argv = (sys.executable, "-P", script_main.__file__, str(order))
        tag = uuid.uuid4().hex
        began_s = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**job.env, sweep.TAG_NAME: tag},
                cwd=job.cwd,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            _remove(order)
            raise IsolationUnavailable(f"{argv[0]} cannot be started: {error}") from None
        running = Running(job, on_text, lambda: _kill(process.pid))
        try:
            return await self._end(process, running, tag, began_s)
        finally:
            _remove(order)

    async def _end(
        self, process: asyncio.subprocess.Process, running: Running, tag: str, began_s: float
    ) -> StepEnd:
        watch: Watch | None = None

        def ask(op: str) -> None:
            if op == "where" and watch is not None:
                watch.begin(process.pid)

        watch = Watch(running, ask=ask, memory=None, slot=-1, tag=tag)
        running.begin()
        readers = [
            asyncio.create_task(_read(process.stdout, running.hear_out)),
            asyncio.create_task(_read(process.stderr, running.hear_err)),
        ]
        status: int | None = None
        try:
            status = await process.wait()
        finally:
            watch.close()
            if status is None:
                _kill(process.pid)
            left = await asyncio.shield(asyncio.to_thread(sweep.kill_all, tag))
            if status is None:
                await process.wait()
            await asyncio.wait(readers, timeout=_DRAIN_S)
            for reader in readers:
                reader.cancel()
            running.close()
        if running.failure is not None:
            raise running.failure
        usage: dict[str, Any] = {"elapsed_s": time.monotonic() - began_s, "left_behind": left}
        return running.end(
            status,
            usage=usage,
            how="spawn",
            how_reason=self._reason,
            oom_kills=oom_kills() if running.oom_kills else {},
        )

    async def close(self) -> None:
        """Nothing is kept between steps."""


async def _read(stream: asyncio.StreamReader | None, hear: Callable[[bytes], None]) -> None:
    while stream is not None and (data := await stream.read(_PIECE)):
        hear(data)


def _order(job: StepJob) -> Path:
    """What `script_main` is to run; it removes the file itself."""
    what = (job.source, job.filename, [*job.argv], [*job.path])
    fd, name = tempfile.mkstemp(prefix="flow-step-")
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(marshal.dumps(what))
    return Path(name)


def _remove(order: Path | None) -> None:
    if order is not None:
        order.unlink(missing_ok=True)


def _kill(pid: int) -> None:
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)
