"""What a worker has said and no client has taken yet, and how much of it there may be (both sides).

Made by `shell.isolated.outlet`, which adds what it passes on; looked at by `relay`. A worker that
prints faster than a client reads has to wait: neither process grows, and nothing is dropped.

    worker   IOPub   flow_mark {spent: n}     behind the first n bytes that it has said; long text
                                              comes with its own
    session  memory  n bytes are taken        at once; while the backlog is full, once it is not
    worker           waits before it says more than LIMIT_BYTES that are not taken

What was handed to ZeroMQ has left when ZeroMQ lets go of its memory. One message in a megabyte is
watched: each client gets them in order. A message counts for MESSAGE_BYTES more than it has, so
that those on their way stay below the number at which the socket of a kernel begins to drop:
HELD_MESSAGES in ours, for ten workers at once; 1000 in a stock ipykernel, for two.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

MARK: Final = "flow_mark"
LIMIT_BYTES: Final = 8 << 20
MESSAGE_BYTES: Final = 32 << 10
HELD_MESSAGES: Final = 4096
EACH_BYTES: Final = 2 << 20
"""A worker sends a mark once in so many bytes."""
_WATCH_BYTES: Final = 1 << 20


class Backlog:
    """That of one kernel; any thread may add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._nbytes = 0
        self._unwatched = 0
        self._watched: deque[tuple[int, Callable[[], bool]]] = deque()

    @property
    def is_full(self) -> bool:
        """True while nobody should add to it."""
        return self._nbytes > LIMIT_BYTES

    def add(self, nbytes: int) -> bool:
        """A message will be sent; True where it has to be watched."""
        with self._lock:
            self._unwatched += nbytes + MESSAGE_BYTES
            return self._unwatched >= _WATCH_BYTES

    def watch(self, has_left: Callable[[], bool]) -> None:
        """The latest message can be asked whether it has left, and all before it with it."""
        with self._lock:
            nbytes, self._unwatched = self._unwatched, 0
            self._nbytes += nbytes
            self._watched.append((nbytes, has_left))

    def look(self) -> None:
        """See what has left: all before a message that has, too."""
        with self._lock:
            for number in range(len(self._watched), 0, -1):
                if self._watched[number - 1][1]():
                    for _ in range(number):
                        self._nbytes -= self._watched.popleft()[0]
                    return
