"""Dask distributed on this machine: two processes, a chain of futures.

Run by `workflow_peers.py` in an environment with distributed. Nothing is kept, so a chain whose
client was killed is begun anew.
"""

import workflow_work
from distributed import Client, LocalCluster
from workflow_tool import serve


class Dask:
    """See the module."""

    def begin(self) -> None:
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        self._client = Client(cluster)

    def chain(self, length: int, nap_s: float = 0.0, trace: str = "") -> int:
        n = 0
        for _ in range(length):
            n = self._client.submit(workflow_work.inc, n, nap_s, trace, pure=False)
        found: int = n.result()  # type: ignore[attr-defined]  # a future after the first step
        return found

    def resume(self, length: int, nap_s: float, trace: str) -> int:
        return self.chain(length, nap_s, trace)

    def storage(self, length: int) -> None:
        del length

    def end(self) -> None:
        self._client.shutdown()


if __name__ == "__main__":
    serve(Dask)
