"""loky as a pool of one worker, by its executor that is asked for anew at each call.

Run by `pools.py` in an environment with loky.
"""

from collections.abc import Callable
from typing import Any, Final

from loky import get_reusable_executor
from pool_tool import Stop, serve

_IDLE_S: Final = 3600
"""A worker that waits for its turn would end after 10 s."""


class Loky:
    """See the module."""

    has_timeout: Final = False
    renewal: Final = "a new executor"

    @property
    def stops(self) -> tuple[Stop, ...]:
        return (
            Stop("cancel()", lambda job: job.cancel()),
            Stop("shutdown(kill_workers=True)", lambda _: self.end()),
        )

    def begin(self) -> None:
        self._executor = get_reusable_executor(max_workers=1, timeout=_IDLE_S)

    def submit(
        self, function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None
    ) -> Any:
        del timeout_s  # it has none
        return self._executor.submit(function, *arguments)

    def renew(self) -> None:
        self.begin()

    def end(self) -> None:
        self._executor.shutdown(wait=True, kill_workers=True)


if __name__ == "__main__":
    serve(Loky)
