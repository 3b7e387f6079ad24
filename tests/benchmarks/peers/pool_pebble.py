"""Pebble as a pool of one worker.

Run by `pools.py` in an environment with Pebble.
"""

from collections.abc import Callable
from typing import Any, Final

from pebble import ProcessPool
from pool_tool import Stop, serve


class Pebble:
    """See the module."""

    has_timeout: Final = True
    renewal: Final = "a new pool"
    stops: Final = (Stop("cancel()", lambda job: job.cancel()),)

    def begin(self) -> None:
        self._pool = ProcessPool(max_workers=1)

    def submit(
        self, function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None
    ) -> Any:
        return self._pool.schedule(function, args=arguments, timeout=timeout_s)

    def renew(self) -> None:
        self.end()
        self.begin()

    def end(self) -> None:
        self._pool.stop()
        self._pool.join()


if __name__ == "__main__":
    serve(Pebble)
