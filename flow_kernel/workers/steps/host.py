"""Forks steps from a process that has imported what they need.

Used by `hosts`, from one event loop; see `host_process`. The thread of the loop has to live as long
as the process: the system takes its end for the owner's.
"""

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.records.process import oom_kills
from flow_kernel.workers import sweep
from flow_kernel.workers.steps.contract import StepEnd, StepJob
from flow_kernel.workers.steps.host_link import HostLink
from flow_kernel.workers.steps.running import Running
from flow_kernel.workers.steps.seen import SLOTS
from flow_kernel.workers.steps.watch import Watch

_IMPORT_S: Final = 30.0
_MOST_STARTS: Final = 4
_KILL_S: Final = 3.0
_TAG_CHARS: Final = 24


class _Refused(Exception):
    """The host does not fork this step; the reason is its text."""


class StepHost:
    """One such process, made when it is needed first and again when it has died.

    Args:
        preload: Modules to import; `a:b` for `from a import b`.
        env: Its environment; None for that of this process.
        spares: How many processes are forked before they are wanted.
        import_s: How long the imports may take.
    """

    def __init__(
        self, *, preload: Sequence[str] = (), env: Mapping[str, str] | None = None,
        spares: int = 0, import_s: float = _IMPORT_S,
    ) -> None:  # fmt: skip
        self._modules = list(preload)
        self._spares = spares
        self._import_s = import_s
        self._tag = uuid.uuid4().hex
        self._env = {**(os.environ if env is None else env), sweep.TAG_NAME: self._tag}
        self._link: HostLink | None = None
        self._ready: asyncio.Future[dict[str, str] | None] | None = None
        self._starting = asyncio.Lock()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._number = 0
        self._runs: dict[int, tuple[Running, asyncio.Future[dict[str, Any]]]] = {}
        self._watches: dict[int, Watch] = {}
        self._slots = list(range(SLOTS))
        self.unfit: dict[str, str] = {}
        """Modules that cannot be imported ahead, and why."""
        self.steps: int = 0
        """That it was asked to run."""

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._link is None else self._link.pid

    @property
    def running(self) -> int:
        """Steps that run now."""
        return len(self._runs)

    async def run(self, job: StepJob, on_text: Callable[[bytes], None]) -> StepEnd:
        """Run a step to its end; if this is cancelled, the step and all it has started is killed.

        Args:
            job: It.
            on_text: Gets what it writes to stderr, as it comes.

        Raises:
            IsolationUnavailable: No process can be started.
        """
        self.steps += 1
        self._busy += 1
        try:
            return await self._run_some_way(job, on_text)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _run_some_way(self, job: StepJob, on_text: Callable[[bytes], None]) -> StepEnd:
        self._idle.clear()
        await self.start()
        reason = "; ".join(
            f"{name} is not imported ahead: {why}" for name, why in self.unfit.items()
        )
        try:
            return await self._run(job, on_text, is_fresh=False, reason=reason)
        except _Refused as refused:
            reason = str(refused)
        try:
            return await self._run(job, on_text, is_fresh=True, reason=reason)
        except _Refused as refused:
            raise IsolationUnavailable(f"no step can be started: {refused}") from None

    def preload(self, modules: Sequence[str]) -> None:
        """Have it import more; nobody waits for that."""
        self._modules += modules
        if self._link is not None and self._ready is not None and self._ready.done():
            self._send({"op": "preload", "modules": list(modules)})

    async def start(self) -> None:
        """Have the process run and be ready."""
        if self._link is None or self._ready is None or not self._ready.done():
            async with self._starting:
                await self._start()

    async def close_when_idle(self) -> None:
        """End it when the steps that run have ended; no further one may be begun."""
        await self._idle.wait()
        await self.close()

    async def close(self) -> None:
        """End it, and all that it has forked."""
        async with self._starting:
            if self._link is not None:
                await self._link.close()

    # -- the process -------------------------------------------------------------------------------

    async def _start(self) -> None:
        starts = 0
        while self._link is None:
            starts += 1
            modules = [] if starts > _MOST_STARTS else self._modules
            loop = asyncio.get_running_loop()
            self._ready = loop.create_future()
            self._link = link = HostLink(
                modules, self._env, spares=self._spares, hear=self._hear, gone=self._is_gone
            )
            try:
                async with asyncio.timeout(self._import_s):
                    unfit = await self._ready
            except TimeoutError:
                unfit = {link.importing: f"its import has not ended within {self._import_s:g} s"}
            except BaseException:
                link.kill()
                await link.ended.wait()
                raise
            if unfit is None:
                unfit = {link.importing: "its import ends the process"}
            if not unfit:
                return
            link.kill()
            await link.ended.wait()
            if "" in unfit or starts > _MOST_STARTS:
                raise IsolationUnavailable("the process that forks steps cannot be started")
            self.unfit.update(unfit)
            self._modules = [name for name in self._modules if name not in unfit]

    def _hear(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "ready":
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(message["unfit"])
            case "is":
                if message["id"] in self._watches:
                    self._watches[message["id"]].begin(message["pid"])
            case "ended" | "refused":
                if message["id"] in self._runs:
                    future = self._runs[message["id"]][1]
                    if not future.done():
                        future.set_result(message)

    def _is_gone(self) -> None:
        self._link = None
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(None)
        for _, future in self._runs.values():
            if not future.done():
                future.set_result({"op": "gone"})

    def _send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> bool:
        if self._link is None:
            return False
        try:
            self._link.send(message, fds)
        except OSError:  # it does not listen: without it nothing of this can go on
            self._link.kill()
            return False
        return True

    def _kill(self, number: int) -> None:
        """Have a step killed; a host that does not do it is killed itself."""
        self._send({"op": "kill", "id": number})
        asyncio.get_running_loop().call_later(_KILL_S, self._insist, number)

    def _insist(self, number: int) -> None:
        if number in self._runs and self._link is not None:
            self._link.kill()

    # -- one step ----------------------------------------------------------------------------------

    async def _run(
        self, job: StepJob, on_text: Callable[[bytes], None], *, is_fresh: bool, reason: str
    ) -> StepEnd:
        self._number = number = self._number + 1
        loop = asyncio.get_running_loop()
        running = Running(job, on_text, lambda: self._kill(number))
        future: asyncio.Future[dict[str, Any]] = loop.create_future()
        slot = self._slots.pop() if self._slots else -1
        tag = f"{self._tag[:_TAG_CHARS]}{number % 16**8:08x}"
        self._runs[number] = (running, future)
        watch = self._watches[number] = Watch(
            running, ask=lambda op: self._send({"op": op, "id": number}),
            memory=self._link.memory if self._link else None, slot=slot, tag=tag,
        )  # fmt: skip
        try:
            self._order(job, running, number=number, tag=tag, slot=slot, is_fresh=is_fresh)
            told = await self._told(running, future)
        finally:
            watch.close()
            running.close()
            del self._runs[number], self._watches[number]
            if slot >= 0:
                self._slots.append(slot)
        if told["op"] == "refused":
            raise _Refused(told["reason"])
        if told["op"] == "gone":
            running.killed_by = running.killed_by or "lost"
            told = {"status": 9, "left_behind": await asyncio.to_thread(_end_rest, tag)}
        if running.failure is not None:
            raise running.failure
        return running.end(
            os.waitstatus_to_exitcode(told["status"]),
            usage=told,
            how="fork" if job.source is not None and not is_fresh else "spawn",
            how_reason=reason,
            oom_kills=oom_kills() if running.oom_kills else {},
        )

    def _order(
        self, job: StepJob, running: Running, *, number: int, tag: str, slot: int, is_fresh: bool
    ) -> None:
        link = self._link
        known = {} if link is None else link.env
        env = job.env
        order = {
            "op": "run",
            "id": number,
            "source": job.source,
            "is_fresh": is_fresh,
            "argv": job.argv,
            "filename": job.filename,
            "set": {name: env[name] for name in env if known.get(name) != env[name]},
            "unset": [name for name in known if name not in env],
            "cwd": job.cwd,
            "path": job.path,
            "tag": tag,
            "slot": slot,
        }
        fds = running.listen()
        try:
            if not self._send(order, fds) and link is None:
                self._runs[number][1].set_result({"op": "gone"})
        finally:
            for fd in fds:
                os.close(fd)

    async def _told(
        self, running: Running, future: "asyncio.Future[dict[str, Any]]"
    ) -> dict[str, Any]:
        """How the step has ended; if this is cancelled it is killed, and its end is awaited."""
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            running.end_for("user")
            await _is_done(future, 2 * _KILL_S)
            raise


async def _is_done(future: "asyncio.Future[Any]", timeout_s: float) -> bool:
    """Wait for it, whoever cancels that meanwhile."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while not future.done() and loop.time() < until:
        try:
            await asyncio.wait([future], timeout=until - loop.time())
        except asyncio.CancelledError:
            continue
    return future.done()


def _end_rest(tag: str) -> int:
    """End what is left of a step whose host is gone; how many it had started.

    The step itself leads its session. The system ends it with its host, sooner or a little later.
    """
    left = sum(not _leads(pid) for pid in sweep.tagged(tag))
    sweep.kill_all(tag)
    return left


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except OSError:
        return True
