"""Keeps Ctrl-C waiting while something must not be left half done.

Called by `keeper` around a fork and by `rollback` while variables and files are changed.
"""

import signal
import threading
from typing import Any


class HeldInterrupt:
    """Keeps an interrupt until the block is over; without effect outside the main thread.

    It is held by a handler and not by a mask of the thread, because the system gives a masked
    signal to another thread, for which Python interrupts the main one all the same.
    """

    def __init__(self) -> None:
        self._before: Any = None
        self._came = False

    def __enter__(self) -> "HeldInterrupt":
        before = signal.getsignal(signal.SIGINT)
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
            self._before = before
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self._came = True

    def pass_on(self) -> None:
        """Do what the interrupt would have done."""
        if self._came and callable(self._before):
            self._before(signal.SIGINT, None)
