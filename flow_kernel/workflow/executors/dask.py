"""Steps on a Dask cluster: one of this machine, or the one whose scheduler has the address.

Made by `registry` for `dask` and `dask=ADDRESS`. Each attempt is one task, see `dask_worker`. The
journal of the run stays here and counts: Dask is asked to run a step, and for nothing else.

    a step fails, hangs, crashes      as anywhere: it is a child of the worker
    its worker is lost                it is run again on another one, at most three times; that is
                                      no failure of the step, and none of its retries is used
    the coroutine is cancelled        its child is killed where it runs, and that is waited for
"""

import asyncio
import importlib.util
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from flow_kernel.errors import IsolationUnavailable, MissingExtra
from flow_kernel.workflow.executors import dask_worker
from flow_kernel.workflow.executors.contract import Context, Log, Order, Outcome
from flow_kernel.workflow.states import StepState

_MOST_LOST: Final = 3
_START_S: Final = 30.0
_END_S: Final = 10.0
_LARGE: Final = {"distributed.admin.large-graph-warning-threshold": "1 TB"}
"""Variables of a step may be large: they are what it is about."""


class DaskExecutor:
    """See the module."""

    def __init__(self, context: Context) -> None:
        if importlib.util.find_spec("distributed") is None:
            raise MissingExtra("dask.distributed", extra="dist")
        self._context = context
        self._starting = asyncio.Lock()
        self._client: Any = None
        self._cluster: Any = None
        self._logs: dict[str, Log] = {}
        self._declared: frozenset[str] = frozenset()

    async def run(self, order: Order, log: Log) -> Outcome:
        """Run one attempt to its end; see `contract.Executor`."""
        client = await self._started()
        resources, reason = self._resources(order)
        for lost in range(_MOST_LOST + 1):
            outcome = await self._run(client, order, log, resources)
            if outcome is not None:
                said = "; ".join(filter(None, (outcome.how_reason, reason)))
                return replace(outcome, how="dask", how_reason=said)
            if lost < _MOST_LOST:
                log(b"flow: the Dask worker was lost; the step runs again on another one\n")
        return _lost(f"the Dask workers that ran it were lost, {_MOST_LOST + 1} in a row")

    async def close(self) -> None:
        """End everything that is left."""
        client, self._client = self._client, None
        cluster, self._cluster = self._cluster, None
        if client is not None:  # or the scheduler tells it of its own end, and logs that it cannot
            client.unsubscribe_topic(client.id)
        await _closed(client, cluster)

    async def _started(self) -> Any:
        async with self._starting:
            if self._client is None:
                self._client = await self._connected()
        return self._client

    async def _connected(self) -> Any:
        from distributed import Client, LocalCluster  # a second that other executors need not pay

        address: Any = self._context.address
        client: Any = None
        try:
            if not address:
                address = self._cluster = LocalCluster(  # type: ignore[no-untyped-call] # Dask's
                    n_workers=self._context.workers, threads_per_worker=1, processes=True,
                    host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit=0,
                    scheduler_kwargs={"allowed_failures": 0}, asynchronous=True,
                    local_directory=str(self._context.files / "dask"),
                )  # fmt: skip
                await self._cluster
            client = Client(  # type: ignore[no-untyped-call] # likewise
                address, asynchronous=True, set_as_default=False, timeout=_START_S
            )
            await client
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            await _closed(client, self._cluster)
            self._cluster = None
            where = self._context.address or "of this machine"
            said = f"no Dask cluster could be reached or made ({where}): {error!s:.200}"
            raise IsolationUnavailable(said) from error
        client.subscribe_topic(client.id, self._hear)
        # What the client knows by itself comes late.
        workers = (await client.scheduler.identity(n_workers=-1))["workers"].values()
        self._declared = frozenset(name for each in workers for name in each["resources"])
        return client

    def _hear(self, event: tuple[float, Any]) -> None:
        """Something was told under our topic; Dask's own words are no dict of ours."""
        said = event[1]
        if isinstance(said, Mapping) and said.get("name") in self._logs:
            self._logs[said["name"]](said["data"])

    def _resources(self, order: Order) -> tuple[dict[str, float], str]:
        """What a step needs in the words of the cluster, and what that has no words for."""
        wanted = {"cpu": order.cpu, "memory": float(order.limits.memory_bytes or 0)}
        known = {name.lower(): name for name in self._declared}
        said = {known[name]: value for name, value in wanted.items() if value and name in known}
        lacking = [name for name, value in wanted.items() if value and name not in known]
        if not self._context.address or not lacking:  # here the runner counts
            return said, ""
        return said, f"the cluster declares no resource {' and '.join(lacking)}: not minded there"

    async def _run(
        self, client: Any, order: Order, log: Log, resources: dict[str, float]
    ) -> Outcome | None:
        """What came of it; None where the worker was lost."""
        import dask  # loaded by now
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        name = f"{order.run_id}/{order.step_id}/{order.attempt}-{uuid.uuid4().hex[:12]}"
        env = None if self._context.address else dict(self._context.env)
        call = dask_worker.Call(name=name, order=order, env=env, topic=client.id)
        self._logs[name] = log
        try:
            with dask.config.set(_LARGE):
                future = client.submit(
                    dask_worker.run_step, call, key=name, pure=False, resources=resources or None
                )
            found = await future
        except KilledWorker:
            return None
        except FutureCancelledError as error:
            return _lost(f"the Dask scheduler is gone, or has dropped it ({error!s:.100})")
        except ImportError as error:
            raise IsolationUnavailable(
                f"the Dask workers cannot import what runs steps ({error})",
                hint="install flow_kernel there, in the version that is here",
            ) from error
        except asyncio.CancelledError:
            await self._end(client, future, name)
            raise
        finally:
            self._logs.pop(name, None)
        if "refused" in found:
            raise IsolationUnavailable(found["refused"])
        return Outcome(**found)

    async def _end(self, client: Any, future: Any, name: str) -> None:
        """Kill a step wherever it is, and wait for that; whoever cancels that meanwhile."""

        async def end() -> None:
            async with asyncio.timeout(_END_S):
                await client.cancel([future], force=True)
                await client.run(dask_worker.end_step, name, on_error="ignore")

        ending = asyncio.ensure_future(end())
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:
                continue
        ending.exception()  # a cluster that does not answer ends it when it hears nothing from us


async def _closed(*parts: Any) -> None:
    for each in filter(None, parts):
        with suppress(TimeoutError):  # its workers end when they hear nothing any more
            async with asyncio.timeout(_END_S):
                await each.close()


def _lost(why: str) -> Outcome:
    error = {"type": "WorkerDied", "message": f"the step died: {why}", "reason": "lost"}
    return Outcome(state=StepState.ERROR, error=error, how="dask")
