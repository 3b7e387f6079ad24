"""Threads that hear copies of a session, each kept for the next copy.

Made by `session.isolation.forking`. ipykernel opens a socket for each thread that publishes, and
looks after ten seconds for those of threads that have ended: one for each cell would be many.
"""

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

_JOIN_S: Final = 2.0
_LOG: Final = logging.getLogger(__name__)
_Work = Callable[[], None]


class Hearers:
    """Those of one session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Work | None]] = []
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    def begin(self, work: _Work) -> None:
        """Have one of them do `work`."""
        with self._lock:
            queue = self._idle.pop() if self._idle else None
        if queue is None:
            queue = SimpleQueue()
            thread = threading.Thread(
                target=self._run, args=(queue,), name="flow-forks", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        queue.put(work)

    def close(self) -> None:
        """Let them end, and wait until they have."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for queue in idle:
            queue.put(None)
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _run(self, queue: "SimpleQueue[_Work | None]") -> None:
        while (work := queue.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the boundary of the thread: it costs one copy only
                _LOG.exception("flow: a copy of the session was not heard to its end")
            del work
            with self._lock:
                if self._is_closed:
                    return
                self._idle.append(queue)
