"""How much a worker may say before its session has taken it; `workers.backlog` tells how.

Made by `shell.worker.app`; asked by the streams, and for displays by the session of the worker.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from flow_kernel.workers.backlog import EACH_BYTES, LIMIT_BYTES
from flow_kernel.workers.last_words import LastWords

_NAP_S: Final = 0.002
_PATIENCE_S: Final = 2.0
"""For the mark to be sent: a thread that cannot send it waits for one that waits here."""
_get_ident: Final = threading.get_ident
_getpid: Final = os.getpid
_getppid: Final = os.getppid
_sleep: Final = time.sleep
_monotonic: Final = time.monotonic


class Credit:
    """That of one worker.

    Args:
        words: Where its session says what it has taken.
        publisher: ipykernel's thread of the IOPub channel.
        never: Threads that nothing may keep waiting, that one among them.
        locks: Of the streams: who has one of them cannot wait, because the mark needs it.
        mark: Publishes behind all that was said before, in that thread, how much that was.
    """

    def __init__(
        self,
        words: LastWords,
        publisher: Any,
        never: Sequence[threading.Thread],
        locks: Sequence[Any],
        mark: Callable[[int], None],
    ) -> None:
        self._words = words
        self._publisher = publisher
        self._never = never
        self._locks = locks
        self._mark = mark
        self._pid = _getpid()
        self._parent = _getppid()
        self.spent: int = 0
        """How much was said."""
        self.until: int = min(EACH_BYTES, LIMIT_BYTES)
        """From here on there is something to look at before more is said."""
        self._next = EACH_BYTES
        self._room = LIMIT_BYTES
        self._marked = 0
        self._free = 0
        self._times_let_go = 0

    def spend(self, nbytes: int) -> None:
        """Be about to say so much; waits for the session if it has to. About 0.1 µs.

        Raises:
            KeyboardInterrupt: While it waits. What follows is said at once.
        """
        if self.spent >= self.until:
            self.look()
        self.spent += nbytes

    def look(self) -> None:
        """Have the session know how much was said, and wait for it if there is no room.

        Raises:
            KeyboardInterrupt: While it waits. What follows is said at once.
        """
        if _getpid() != self._pid or _get_ident() in [each.ident for each in self._never]:
            return
        spent = self.spent
        if spent >= self._next:
            self._next = spent + EACH_BYTES
            self._publisher.schedule(lambda: self._send(spent))
        self._measure()
        if spent < self._room or any(lock._is_owned() for lock in self._locks):
            return
        until_s, let_go = _monotonic() + _PATIENCE_S, self._times_let_go
        with self._interruptible():
            while spent >= self._room and let_go == self._times_let_go:
                is_alone = not self._publisher.thread.is_alive() or _getppid() != self._parent
                is_stuck = self._marked <= self._words.taken and _monotonic() > until_s
                if is_alone or is_stuck:
                    self._free = spent + LIMIT_BYTES
                else:
                    _sleep(_NAP_S)
                self._measure()

    def _measure(self) -> None:
        self._room = max(self._free, self._words.taken + LIMIT_BYTES)
        self.until = min(self._next, self._room)

    def was_marked(self, spent: int) -> None:
        """A message has told the session how much was said with it."""
        self._marked = max(self._marked, spent)
        self._next = spent + EACH_BYTES
        self.until = min(self._next, self._room)

    def _send(self, spent: int) -> None:
        self._mark(spent)
        self._marked = max(self._marked, spent)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Hear of an interrupt here, whatever it means to whom: while we wait, nothing else runs.

        The one of cells that await something tells the loop, and between cells it is ignored.
        """
        before: Any = signal.getsignal(signal.SIGINT)
        is_ours = threading.current_thread() is threading.main_thread()
        if not is_ours or before in (None, signal.SIG_DFL):  # one of C, or the end of the process
            yield
            return

        def let_go(number: int, frame: FrameType | None) -> None:
            self._times_let_go += 1
            self._room = self._free = self.spent + LIMIT_BYTES
            self.until = min(self._next, self._room)
            if callable(before):
                before(number, frame)

        try:
            signal.signal(signal.SIGINT, let_go)
            yield
        finally:
            if signal.getsignal(signal.SIGINT) is let_go:  # else that handler has set another one
                signal.signal(signal.SIGINT, before)
