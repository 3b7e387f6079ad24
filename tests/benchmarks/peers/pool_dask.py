"""Dask as a pool of one worker: a cluster on this machine, with a process that watches the worker.

Run by `pools.py` in an environment with distributed.
"""

from collections.abc import Callable
from typing import Any, Final

from distributed import Client, LocalCluster
from pool_tool import Stop, serve

_SCATTERED_BYTES: Final = 100_000
"""What is larger goes the way that Dask wants it to go."""


class Dask:
    """See the module."""

    has_timeout: Final = False
    renewal: Final = "a new cluster"

    @property
    def stops(self) -> tuple[Stop, ...]:
        return (
            Stop("cancel()", lambda job: job.cancel(force=True)),
            Stop("restart_workers()", lambda _: self._restart()),
        )

    def begin(self) -> None:
        self._cluster = LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
        )
        self._client = Client(self._cluster)

    def submit(
        self, function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None
    ) -> Any:
        del timeout_s  # it has none
        sent = [
            self._client.scatter(each, hash=False, direct=True)
            if getattr(each, "nbytes", 0) > _SCATTERED_BYTES
            else each
            for each in arguments
        ]
        # Pure functions are not called again.
        return self._client.submit(function, *sent, pure=False)

    def renew(self) -> None:
        self.end()
        self.begin()

    def end(self) -> None:
        self._client.close()
        self._cluster.close()

    def _restart(self) -> None:
        self._client.restart_workers(list(self._client.scheduler_info()["workers"]))


if __name__ == "__main__":
    serve(Dask)
