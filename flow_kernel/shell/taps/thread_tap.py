"""Threads that a cell starts act under the name of who has sent it.

Used by `shell.attach`.

A thread begins with an empty context (until Python 3.14), so it is told as it is started. What is
started past `threading.Thread`, by `_thread` alone, counts as of the session.
"""

import threading
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.acting import Acting

globals()["__builtins__"] = FROZEN_BUILTINS

_Thread: Final = threading.Thread


class ThreadTap:
    """Patched `start` of threads.

    Args:
        acting: Knows who acts where a thread is started.
    """

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._stock: Any = None
        self._ours: Any = None

    def install(self) -> None:
        """Begin to tell them."""
        acting = self._acting
        stock = self._stock = _Thread.start

        def start(self: threading.Thread) -> None:
            try:
                acting.hand_on(self)
            except Exception:  # noqa: BLE001 - the user's thread must not fail for us
                pass
            stock(self)

        self._ours = _Thread.start = start  # type: ignore[method-assign]  # put back by `remove`

    def remove(self) -> None:
        """Put back what was found, unless somebody else has patched it since."""
        if _Thread.start is self._ours:
            _Thread.start = self._stock  # type: ignore[method-assign]  # as it was
