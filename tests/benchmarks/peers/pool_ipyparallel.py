"""ipyparallel as a pool of one worker: a cluster of one engine on this machine.

Run by `pools.py` in an environment with ipyparallel.
"""

import logging
import signal
from collections.abc import Callable
from typing import Any, Final

import ipyparallel
from pool_tool import Stop, serve


class Ipyparallel:
    """See the module."""

    has_timeout: Final = False
    renewal: Final = "restart_engines_sync()"

    @property
    def stops(self) -> tuple[Stop, ...]:
        return (
            Stop("abort()", lambda job: job.abort()),
            Stop("send_signal(SIGINT)", lambda _: self._client.send_signal(signal.SIGINT)),
        )

    def begin(self) -> None:
        self._cluster = ipyparallel.Cluster(n=1, log_level=logging.ERROR)
        self._client = self._cluster.start_and_connect_sync(activate=False)

    def submit(
        self, function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None
    ) -> Any:
        del timeout_s  # it has none
        engines = self._client.ids
        # Without any it is all of them, which says what is missing.
        view = self._client[engines[-1] if engines else slice(None)]
        return view.apply_async(function, *arguments)

    def renew(self) -> None:
        self._cluster.restart_engines_sync()
        self._client.wait_for_engines(1, timeout=60)

    def end(self) -> None:
        self._client.close()
        self._cluster.stop_cluster_sync()


if __name__ == "__main__":
    serve(Ipyparallel)
