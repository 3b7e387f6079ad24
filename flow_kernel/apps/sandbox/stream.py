"""What one task has said, numbered from 1: the newest in memory, what is older on the disk.

Made by `task`, which adds in the thread of the pool's relay; read by `connection` in the loop of
the server. No reader holds up another one, nor the task: each reads on from its own number.

    append ─▶ ring (bytes are bounded) ─▶ spool (a file without a name, bounded) ─▶ dropped, counted

A file without a name is gone with the process, however that ends. Most tasks never have one.
"""

import os
import tempfile
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.sandbox.wire import frame

RING_BYTES: Final = 128 * 1024
_INDEX_BYTES: Final = 128 * 1024
"""A place in the file is remembered once in so many bytes."""


class TaskStream:
    """See the module.

    Args:
        task_id: Whose it is.
        directory: Where the file goes, if there is one.
        most_bytes: Of the file; output beyond it is dropped and counted.
    """

    def __init__(self, task_id: str, *, directory: Path, most_bytes: int) -> None:
        self._task_id = task_id
        self._directory = directory
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._ring: deque[bytes] = deque()
        self._ring_bytes = 0
        self._fd = -1
        self._spooled = 0
        self._spool_bytes = 0
        self._index: list[tuple[int, int]] = [(1, 0)]
        """Numbers, and where their messages begin."""
        self._waiting: list[Callable[[], object]] = []
        self.last_seq: int = 0
        self.dropped_bytes: int = 0
        self.has_ended: bool = False

    def append(self, kind: str, worker_id: str | None, /, **more: Any) -> int:
        """Add a message; callable in any thread.

        Returns:
            Its number; 0 where there was no room for it any more, or the stream has ended.
        """
        with self._lock:
            return self._append(kind, worker_id, more)

    def end(self, kind: str, worker_id: str | None, /, **more: Any) -> None:
        """Add the last message; there is one, whoever ends it twice."""
        with self._lock:
            if self._append(kind, worker_id, more):
                self.has_ended = True

    def read(self, seq: int, most_bytes: int) -> list[bytes]:
        """Messages from a number on, at least one unless there is none yet.

        Raises:
            OSError: The disk does not give back what it got.
        """
        with self._lock:
            first = self._spooled + 1
            if seq >= first:
                return _some(list(self._ring)[seq - first :], most_bytes)
            at = bisect_right(self._index, (seq, self._spool_bytes)) - 1
            number, offset = self._index[at]
            end = self._spool_bytes
        return self._read_file(seq - number, offset, end, most_bytes)

    def when_more(self, call: Callable[[], object], after: int) -> None:
        """Call once, in any thread, when there is a message after that number, or an end."""
        with self._lock:
            if self.last_seq <= after and not self.has_ended:
                self._waiting.append(call)
                return
        call()

    def close(self) -> None:
        """Give the file back; nobody reads it any more."""
        with self._lock:
            self.has_ended = True
            self._ring.clear()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    # -- inside, with the lock ---------------------------------------------------------------------

    def _append(self, kind: str, worker_id: str | None, more: dict[str, Any]) -> int:
        if self.has_ended:
            return 0
        data = frame(kind, self._task_id, worker_id, self.last_seq + 1, **more)
        if kind == "task_output" and self._spool_bytes + len(data) > self._most_bytes:
            self.dropped_bytes += len(data)
            return 0
        self.last_seq += 1
        self._ring.append(data)
        self._ring_bytes += len(data)
        while self._ring_bytes > RING_BYTES and len(self._ring) > 1:
            if not self._spool(self._ring[0]):
                break
            self._ring_bytes -= len(self._ring.popleft())
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()
        return self.last_seq

    def _spool(self, data: bytes) -> bool:
        """Write the oldest message to the file; False where the disk takes no more."""
        line = data + b"\n"
        try:
            if self._fd < 0:
                with tempfile.TemporaryFile(dir=self._directory) as file:
                    self._fd = os.dup(file.fileno())
            done = os.pwrite(self._fd, line, self._spool_bytes)
        except OSError:
            done = 0
        if done < len(line):
            self._most_bytes = 0  # what is there stays; output that comes is dropped
            return False
        self._spooled += 1
        self._spool_bytes += len(line)
        if self._spool_bytes - self._index[-1][1] >= _INDEX_BYTES:
            self._index.append((self._spooled + 1, self._spool_bytes))
        return True

    # -- inside ------------------------------------------------------------------------------------

    def _read_file(self, skipped: int, offset: int, end: int, most_bytes: int) -> list[bytes]:
        """Messages behind the `skipped` ones at a place of the file."""
        found: list[bytes] = []
        left = b""
        while not found and offset < end:
            data = os.pread(self._fd, min(end - offset, max(most_bytes, _INDEX_BYTES)), offset)
            if not data:
                raise OSError("the file of a task is shorter than it was")
            offset += len(data)
            *lines, left = (left + data).split(b"\n")
            found = lines[skipped:]
            skipped -= min(skipped, len(lines))
        return _some(found, most_bytes)


def _some(frames: list[bytes], most_bytes: int) -> list[bytes]:
    """The first ones: within the number of bytes, and at least one."""
    total = 0
    for count, each in enumerate(frames):
        total += len(each)
        if total > most_bytes and count:
            return frames[:count]
    return frames
