"""concurrent.futures as a pool of one worker.

Run by `pools.py` with the interpreter that runs it; the argument says how processes are started.
"""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

from pool_tool import Stop, serve


class Futures:
    """See the module."""

    has_timeout: Final = False
    renewal: Final = "a new executor"
    stops: Final = (Stop("cancel()", lambda job: job.cancel()),)

    def begin(self) -> None:
        context = multiprocessing.get_context(sys.argv[1])
        self._executor = ProcessPoolExecutor(1, mp_context=context)

    def submit(
        self, function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None
    ) -> Any:
        del timeout_s  # it has none
        return self._executor.submit(function, *arguments)

    def renew(self) -> None:
        self.end()
        self.begin()

    def end(self) -> None:
        # There is no public way to end a worker that does not end.
        for process in list((self._executor._processes or {}).values()):
            process.kill()
        self._executor.shutdown()


if __name__ == "__main__":
    serve(Futures)
