"""Steps inside a Dask worker: each is a child of it that can be killed.

Run on the workers by `dask`, which sends `run_step` as a task and `end_step` beside it. A task of
Dask cannot be ended and has no limits, and what crashes there takes the worker with it: so the task
only waits for a process, which is run as on any machine.

    the task is released while it runs    its step is killed: nobody waits any more, be it that the
                                          run was stopped, be it that the runner itself is gone
    no step for a minute                  what was kept ready for the next one is ended
"""

import asyncio
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.errors import FlowError
from flow_kernel.workflow.executors.contract import Context, Order, Outcome
from flow_kernel.workflow.executors.local import ForkExecutor

if TYPE_CHECKING:
    from concurrent.futures import Future

_NAME: Final = "flow_steps"
_FIELDS: Final = tuple(each.name for each in fields(Outcome))
_FLUSH_S: Final = 0.05
_HALF_BYTES: Final = 32_000
"""Of what a step writes between two flushes its head and its tail are told."""
_IDLE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt of a step.

    Attributes:
        name: Of its task; no other one has it.
        order: What is to run.
        env: What steps find in their environment; None for that of the worker.
        topic: Where what it writes to stderr is told, as `{"name", "data"}`.
    """

    name: str
    order: Order
    env: Mapping[str, str] | None
    topic: str


def run_step(call: Call) -> dict[str, Any]:
    """Run a step to its end; the task.

    Returns:
        The fields of an `Outcome`; or `refused`: why it was not run, in a sentence.
    """
    from distributed import get_worker  # it is loaded here; whoever sends the task need not wait

    return _steps_of(get_worker()).run(call).result()


async def end_step(name: str, dask_worker: Any) -> bool:
    """Kill a step, if it runs here, and see to it that it does not begin later.

    Returns:
        True where it ran.
    """
    ended = _steps_of(dask_worker).end(name)
    return False if ended is None else await asyncio.wrap_future(ended)


def _steps_of(worker: Any) -> "_Steps":
    steps: _Steps = vars(worker).setdefault(_NAME, _Steps(worker))
    return steps


class _Steps:
    """Those of one worker, in a thread with a loop of its own: that of the worker is Dask's."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executors: dict[str, tuple[ForkExecutor, Path]] = {}
        self._closings: set[asyncio.Task[None]] = set()
        self._tasks: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._unwanted: set[str] = set()
        self._closing: asyncio.TimerHandle | None = None

    def run(self, call: Call) -> "Future[dict[str, Any]]":
        """Begin a step; called in the thread of its task."""
        return asyncio.run_coroutine_threadsafe(self._run(call), self._started())

    def end(self, name: str) -> "Future[bool] | None":
        """Kill a step; called in the thread of the worker.

        Returns:
            Done once it is gone; None where no step was ever run.
        """
        self._unwanted.add(name)
        if self._loop is None:
            return None
        return asyncio.run_coroutine_threadsafe(self._end(name), self._loop)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                # What it starts ends with this thread, which ends with the process.
                threading.Thread(
                    target=self._loop.run_forever, name="flow-steps", daemon=True
                ).start()
                self._worker.loop.add_callback(self._worker.plugin_add, _plugin(self), _NAME)
        return self._loop

    # -- in its thread -----------------------------------------------------------------------------

    async def _run(self, call: Call) -> dict[str, Any]:
        name, topic = call.name, call.topic
        if name in self._unwanted:
            return {"refused": "it was cancelled before it began"}
        if self._closing is not None:
            self._closing.cancel()
        tell = _Telling(lambda data: self._worker.log_event(topic, {"name": name, "data": data}))
        task = self._tasks[name] = asyncio.ensure_future(self._outcome(call, tell))
        try:
            return await task
        except asyncio.CancelledError:
            return {"refused": "it was cancelled"}
        except FlowError as error:
            return {"refused": str(error)}
        finally:
            tell.close()
            del self._tasks[name]
            if not self._tasks:
                self._closing = asyncio.get_running_loop().call_later(_IDLE_S, self._rest)

    async def _outcome(self, call: Call, tell: "_Telling") -> dict[str, Any]:
        executor, files = self._executor(call)
        order, reason = call.order, ""
        if not os.path.isdir(order.directory):  # noqa: PTH112, ASYNC240 - a look at a local disk
            reason = f"there is no {order.directory} on {socket.gethostname()}: it ran in {files}"
            order = replace(order, directory=str(files))
        outcome = await executor.run(order, tell)
        said = "; ".join(filter(None, (reason, outcome.how_reason)))
        return {name: getattr(outcome, name) for name in _FIELDS} | {"how_reason": said}

    def _executor(self, call: Call) -> tuple[ForkExecutor, Path]:
        """One for each runner: environments differ."""
        if call.topic not in self._executors:
            files = Path(tempfile.mkdtemp(prefix="steps-", dir=self._worker.local_directory))
            env = dict(os.environ) if call.env is None else call.env
            context = Context(run_id=call.order.run_id, files=files, workers=1, env=env)
            self._executors[call.topic] = (ForkExecutor(context), files)
        return self._executors[call.topic]

    async def _end(self, name: str) -> bool:
        task = self._tasks.get(name)
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    def _rest(self) -> None:
        """There was nothing to do for a while: keep nothing ready."""
        executors, self._executors = self._executors, {}
        for executor, files in executors.values():
            closing = asyncio.ensure_future(executor.close())
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)
            shutil.rmtree(files, ignore_errors=True)


def _plugin(steps: _Steps) -> Any:
    """A plug-in of a worker: hears that nobody waits for a task any more, where it runs."""
    from distributed import WorkerPlugin  # see above

    class Released(WorkerPlugin):
        def transition(self, key: Any, start: Any, finish: Any, **_: Any) -> None:
            if start == "executing" and finish not in ("memory", "error"):
                steps.end(str(key))

    return Released()


class _Telling:
    """Tells what a step writes to stderr: at once, then not more often than the eye can follow.

    Args:
        tell: Takes a piece.
    """

    def __init__(self, tell: Callable[[bytes], object]) -> None:
        self._tell = tell
        self._kept = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self, data: bytes) -> None:
        """It has written this."""
        self._kept += data
        if self._timer is None:
            self.flush()
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_S, self._again)

    def flush(self) -> None:
        """Tell what is kept."""
        kept, self._kept = bytes(self._kept), bytearray()
        dropped = len(kept) - 2 * _HALF_BYTES
        if dropped > 0:
            cut = f"\n… {dropped:,} bytes are not told …\n".encode()
            kept = kept[:_HALF_BYTES] + cut + kept[-_HALF_BYTES:]
        if kept:
            self._tell(kept)

    def close(self) -> None:
        """It has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()

    def _again(self) -> None:
        self._timer = None
        if self._kept:
            self(b"")
