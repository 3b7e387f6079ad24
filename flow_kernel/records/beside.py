"""Work that goes on beside the thread that asked for it.

Called by `store.snapshots.reading` and `session.checkpoints.aside`, for work that spends its time
outside of the interpreter: copying, hashing, waiting for the disk.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from flow_kernel.records.waits import join

T = TypeVar("T")


class Beside(Generic[T]):
    """One piece of work in a thread of its own; the block that it is used in ends after it.

    Args:
        work: What to do.
        name: Of the thread.
    """

    def __init__(self, work: Callable[[], T], *, name: str) -> None:
        self._work = work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._results: list[T] = []
        self._error: BaseException | None = None

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error

    def result(self) -> T:
        """What came of it, once it is done.

        Raises:
            BaseException: What it raised.
        """
        join(self._thread)
        if self._error is not None:
            raise self._error
        return self._results[0]

    def __enter__(self) -> Self:
        try:
            self._thread.start()
        except RuntimeError:  # there can be no more threads
            self._run()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        join(self._thread)
