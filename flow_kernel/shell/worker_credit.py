"""How much a worker may say before its session has taken it; `workers.backlog` tells how.

Made by `shell.worker_app`; asked by the streams, and for displays by the session of the worker.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.workers.backlog import EACH_BYTES, LIMIT_BYTES
from flow_kernel.workers.last_words import LastWords

_NAP_S: Final = 0.002
_get_ident: Final = threading.get_ident
_getpid: Final = os.getpid
_getppid: Final = os.getppid
_sleep: Final = time.sleep


class Credit:
    """That of one worker.

    Args:
        words: Where its session says what it has taken.
        thread: That publishes.
        mark: Publishes behind all that was said before, in that thread, how much that was.
    """

    def __init__(self, words: LastWords, thread: Any, mark: Callable[[int], None]) -> None:
        self._words = words
        self._thread = thread
        self._mark = mark
        self._pid = _getpid()
        self._parent = _getppid()
        self._spent = 0
        self._next = EACH_BYTES

    def spend(self, nbytes: int) -> None:
        """Be about to say so much; waits for the session if it has to. About 0.1 µs.

        Raises:
            KeyboardInterrupt: While it waits. What follows is said at once.
        """
        if self._spent >= self._next:
            self._look()
        self._spent += nbytes

    def _look(self) -> None:
        thread = self._thread.thread
        if thread.ident == _get_ident() or _getpid() != self._pid:
            return
        spent = self._spent
        self._next = spent + EACH_BYTES
        self._thread.schedule(lambda: self._mark(spent))
        while spent - self._words.taken > LIMIT_BYTES:
            if not thread.is_alive() or _getppid() != self._parent:
                return
            _sleep(_NAP_S)
