"""Runs scripts in workers of a pool, each in one that nobody had before.

Built by `kernel`; lives in one event loop, to which the threads of the pool tell what happens.
What is no script is run as `workers.steps.hosts` does.
"""

import asyncio
import os
import signal
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.records.process import oom_kills
from flow_kernel.settings import PoolSettings
from flow_kernel.workers import sweep
from flow_kernel.workers.calls import Called
from flow_kernel.workers.death import last_line_of
from flow_kernel.workers.job import JOB, Died, Done, InputWanted, Job
from flow_kernel.workers.lifecycle import State
from flow_kernel.workers.pool import Pool, is_stripped
from flow_kernel.workers.processes import Ended
from flow_kernel.workers.steps.contract import StepEnd, StepJob
from flow_kernel.workers.steps.hosts import Hosts
from flow_kernel.workers.steps.running import Running
from flow_kernel.workers.steps.watch import Watch
from flow_kernel.workers.worker import Worker
from flow_kernel.workflow.executors import kernel_script
from flow_kernel.workflow.executors.kernel_outlet import Display, StepOutlet

_END_S: Final = 5.0
_MOST_SPARES: Final = 2
_TAKEN: Final = '{"value":null}'


class Kernels(Hosts):
    """See the module.

    Args:
        directory: For sockets.
        env: The environment that workers begin with.
        spares: Workers that are kept ready.
        on_display: Takes what scripts display.
    """

    def __init__(
        self, directory: Path, *, env: Mapping[str, str], spares: int, on_display: Display
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._env = {name: value for name, value in env.items() if not is_stripped(name)}
        self._outlet = StepOutlet(self._loop, on_display)
        self._ends: dict[str, asyncio.Event] = {}
        self._make: Callable[[], Pool] = partial(
            Pool,
            directory,
            key=os.urandom(32).hex().encode(),
            session_id=uuid.uuid4().hex,
            env=lambda: self._env,
            outlet=self._outlet,
            on_change=self._changed,
            settings=PoolSettings(spares=max(1, min(spares, _MOST_SPARES))),
        )
        self._pool: Pool | None = None

    async def run(self, job: StepJob, on_text: Callable[[bytes], None]) -> StepEnd:
        """Run a step to its end; if this is cancelled, the step and all it has started is killed.

        Args:
            job: It.
            on_text: Gets what it writes to stderr, as it comes.

        Raises:
            IsolationUnavailable: No worker can be started.
        """
        if job.source is None:
            return await super().run(job, on_text)
        worker = await self._leased()
        running = Running(job, on_text, partial(self._kill, worker))
        happened = _Happened(self._soon)
        request = Job(
            header=_header(worker), content=self._content(job), metadata={JOB: {}},
            happened=happened,
        )  # fmt: skip
        watch = _KernelWatch(running, worker, request)
        self._outlet.listen(worker.worker_id, running)
        began_s = self._loop.time()
        try:
            running.begin()
            await asyncio.to_thread(worker.run, request)
            if (ending := await happened.ending) is not None:
                raise IsolationUnavailable(f"a kernel could not run the step: {ending:.200}")
        except asyncio.CancelledError:
            running.end_for("user")
            raise
        finally:
            watch.close()
            elapsed_s = self._loop.time() - began_s
            await self._ended(worker)
            self._outlet.forget(worker.worker_id)
            running.close()
        if running.failure is not None:
            raise running.failure
        return _end(running, worker, elapsed_s)

    async def close(self) -> None:
        """End all of them, and what they have started."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.close)
        await super().close()

    # -- workers -----------------------------------------------------------------------------------

    async def _leased(self) -> Worker:
        if self._pool is None:
            self._pool = self._make()
        leasing = asyncio.ensure_future(asyncio.to_thread(self._pool.lease, None))
        try:
            worker = await asyncio.shield(leasing)
        except asyncio.CancelledError:
            leasing.add_done_callback(self._unwanted)
            raise
        return worker

    def _unwanted(self, leasing: "asyncio.Future[Worker]") -> None:
        """Nobody waits any more for a worker that comes now."""
        if not leasing.cancelled() and leasing.exception() is None:
            self._kill(leasing.result())

    def _kill(self, worker: Worker) -> None:
        if self._pool is not None:
            self._pool.end(worker)

    def _changed(self, worker: Worker, _reason: str) -> None:
        """In any thread of the pool."""
        if worker.state == State.DEAD:
            self._soon(lambda: self._end_of(worker).set())

    def _end_of(self, worker: Worker) -> asyncio.Event:
        return self._ends.setdefault(worker.worker_id, asyncio.Event())

    async def _ended(self, worker: Worker) -> None:
        """End a worker and all that it has started, whoever cancels that meanwhile."""
        ending = asyncio.ensure_future(self._end_worker(worker))
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                continue

    async def _end_worker(self, worker: Worker) -> None:
        self._kill(worker)
        try:
            async with asyncio.timeout(_END_S):
                await self._end_of(worker).wait()
        except TimeoutError:
            pass  # what bears its tag is killed all the same
        self._ends.pop(worker.worker_id, None)
        await asyncio.to_thread(sweep.kill_all, worker.env[sweep.TAG_NAME])

    # -- one step ----------------------------------------------------------------------------------

    def _content(self, job: StepJob) -> dict[str, Any]:
        env = dict(job.env.items() - self._env.items())
        env.pop(sweep.TAG_NAME, None)  # it has its own
        how = {"argv": [*job.argv], "path": [*job.path], "cwd": job.cwd, "env": env}
        call = f"run({job.source!a}, {job.filename!a}, **{how!a})"
        return {
            "code": f"from {kernel_script.__name__} import run\n{call}",
            "silent": False,
            "store_history": False,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }

    def _soon(self, call: Callable[[], object]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


class _Happened(SimpleQueue[InputWanted | Called | Done | Died | None]):
    """What happens to a job, told to the loop; called in the relay's thread."""

    def __init__(self, soon: Callable[[Callable[[], object]], None]) -> None:
        self._soon = soon
        self.ending: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """None once its worker has ended, as it does with each script; else why there was none."""

    def put(self, item: Any, *_: Any, **__: Any) -> None:
        """It has happened."""
        if isinstance(item, Called):  # there is no session here that a script could call
            item.answer(_TAKEN if kernel_script.LAST_CALL in item.text else "")
        elif isinstance(item, Done):
            said = item.reply.get("evalue") or item.reply.get("ename") or "it says nothing"
            self._soon(partial(self._end, str(said)))
        elif isinstance(item, Died):
            self._soon(partial(self._end, None))

    def _end(self, ending: str | None) -> None:
        if not self.ending.done():
            self.ending.set_result(ending)


class _KernelWatch(Watch):
    """One whose worker shows itself in a memory of its own, as long as it runs."""

    def __init__(self, running: Running, worker: Worker, request: Job) -> None:
        super().__init__(
            running, ask=self._ask_worker, memory=None, slot=-1, tag=worker.env[sweep.TAG_NAME]
        )
        self._worker = worker
        self._request = request
        self._glimpses = worker.said.glimpses

    def _ask_worker(self, op: str) -> None:
        if op == "look":
            self._worker.ask_for_glimpses(self._request)
        elif self._worker.pid is not None:
            self.begin(self._worker.pid)


def _header(worker: Worker) -> dict[str, Any]:
    """Of a request; its id is what `Watch` knows the looks into a step by."""
    return {
        "msg_id": str(worker.pid),
        "msg_type": "execute_request",
        "session": uuid.uuid4().hex,
        "username": "flow",
        "date": datetime.now(UTC).isoformat(),
        "version": "5.4",
    }


def _end(running: Running, worker: Worker, elapsed_s: float) -> StepEnd:
    died = worker.died
    ended = Ended(returncode=None) if died is None else died.ended
    fault = None if died is None else last_line_of(died.fault, running.job.filename)
    if fault is not None:
        running.last_line = running.last_line or f"line {fault.line} of the script"
    return running.end(
        -signal.SIGKILL if ended.returncode is None else ended.returncode,
        usage={
            "peak_rss_bytes": ended.peak_rss_bytes,
            "cpu_s": ended.cpu_s,
            "elapsed_s": elapsed_s,
        },
        how="fork" if worker.kind == "zygote" else "spawn",
        how_reason=worker.reason if worker.is_makeshift else "",
        oom_kills=oom_kills() if running.oom_kills else {},
    )
