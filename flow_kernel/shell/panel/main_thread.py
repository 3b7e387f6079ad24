"""Work that only the thread of the cells may do, asked for by another thread.

Built by `shell.panel.live`, for the way back: it reads and sets the user's variables.

It is done between two cells, as a request of its own, and never waits behind one: what runs now may
take hours, and what was pressed then would come as a surprise.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.errors import IllegalTransition
from flow_kernel.session.session import Session

_START_S: Final = 2.0
_PATIENCE_S: Final = 1.0
"""A cell that has just sent its reply is not quite over, and front ends ask things behind it."""
_PAUSE_S: Final = 0.01
_BUSY: Final = "a cell runs, and nothing was changed"
_BUSY_HINT: Final = "press again when it has ended, or interrupt it"


class MainThread:
    """Of one kernel.

    Args:
        kernel: Of ipykernel.
        session: Knows whether a cell runs.
    """

    def __init__(self, kernel: Any, session: Session) -> None:
        self._kernel = kernel
        self._session = session

    def do(self, work: Callable[[], object]) -> object:
        """Do it now, and wait until it is done.

        Raises:
            IllegalTransition: A cell runs.
            Exception: What the work has raised.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while not self._is_free():
            if time.monotonic() > deadline:
                raise IllegalTransition(_BUSY, hint=_BUSY_HINT)
            time.sleep(_PAUSE_S)
        errand = _Errand(work, self._is_free)
        self._kernel.io_loop.asyncio_loop.call_soon_threadsafe(errand.run)
        return errand.result()

    def _is_free(self) -> bool:
        lock = getattr(self._kernel, "_main_asyncio_lock", None)
        is_held = lock is not None and lock.locked()
        return not (is_held or self._session.recorder.is_in_cell())


class _Errand:
    def __init__(self, work: Callable[[], object], is_free: Callable[[], bool]) -> None:
        self._work = work
        self._is_free = is_free
        self._lock = threading.Lock()
        self._has_begun = False
        self._is_given_up = False
        self._done = threading.Event()
        self._begun = threading.Event()
        self._found: object = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """In the main thread."""
        with self._lock:
            if self._is_given_up:
                return
            self._has_begun = True
        self._begun.set()
        try:
            if self._is_free():
                self._found = self._work()
            else:  # another cell was faster
                self._error = IllegalTransition(_BUSY, hint=_BUSY_HINT)
        except BaseException as error:  # noqa: BLE001 - told to who waits; the loop goes on
            self._error = error
        finally:
            self._done.set()

    def result(self) -> object:
        """In the thread that wants it."""
        if not self._begun.wait(_START_S):
            with self._lock:
                self._is_given_up = not self._has_begun
            if self._is_given_up:
                raise IllegalTransition(_BUSY, hint=_BUSY_HINT)
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._found
