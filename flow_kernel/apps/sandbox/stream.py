"""What one task has said, numbered from 1: the newest in memory, what is older on the disk.

Made by `task`, which adds in the thread of the pool's relay; read by `connection` in the loop of
the server. No reader holds up another one, nor the task: each reads on from its own number.

    append ─▶ ring (bytes are bounded) ─▶ spool (a file without a name, bounded) ─▶ dropped, counted

A file without a name is gone with the process, however that ends. Most tasks never have one. The
disk is written and read without the lock that the loop takes.
"""

import os
import tempfile
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.sandbox.spools import LEASE_BYTES, Spools
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
        spools: Has a say in how far the file grows; None where nobody has.
    """

    def __init__(
        self, task_id: str, *, directory: Path, most_bytes: int, spools: Spools | None = None
    ) -> None:
        self._task_id = task_id
        self._directory = directory
        self._most_bytes = most_bytes
        self._spools = spools
        self._writing = threading.Lock()
        """One message after the other; the loop never takes it."""
        self._lock = threading.Lock()
        self._ring: deque[bytes] = deque()
        self._ring_bytes = 0
        self._fd = -1
        self._users = 0
        """Of the file: it is closed once there are none."""
        self._leased_bytes = 0
        self._spooled = 0
        self._spool_bytes = 0
        self._index: list[tuple[int, int]] = [(1, 0)]
        """Numbers, and where their messages begin."""
        self._waiting: list[Callable[[], object]] = []
        self.last_seq: int = 0
        self.dropped_bytes: int = 0
        self.has_ended: bool = False
        self.is_closed: bool = False
        """It is not kept any more."""
        self.followers: int = 0
        """Connections that read it; counted in their loop."""

    def append(self, kind: str, worker_id: str | None, /, **more: Any) -> int:
        """Add a message; callable in any thread.

        Returns:
            Its number; 0 where there was no room for it any more, or the stream has ended.
        """
        with self._writing:
            return self._append(kind, worker_id, more, is_last=False)

    def end(self, kind: str, worker_id: str | None, /, **more: Any) -> None:
        """Add the last message; there is one, whoever ends it twice."""
        with self._writing:
            self._append(kind, worker_id, more, is_last=True)

    def is_in_memory(self, seq: int) -> bool:
        """True where reading from that number on needs no disk."""
        return seq > self._spooled

    def read(self, seq: int, most_bytes: int) -> list[bytes]:
        """Messages from a number on, at least one unless there is none yet.

        Raises:
            OSError: It is not kept any more, or the disk does not give back what it got.
        """
        with self._lock:
            if self.is_closed:
                raise OSError("what the task has said is not kept any more")
            first = self._spooled + 1
            if seq >= first:
                return _some(list(self._ring)[seq - first :], most_bytes)
            at = bisect_right(self._index, (seq, self._spool_bytes)) - 1
            number, offset = self._index[at]
            end = self._spool_bytes
            self._users += 1
        try:
            return self._read_file(seq - number, offset, end, most_bytes)
        finally:
            self._let_go()

    def when_more(self, call: Callable[[], object], after: int) -> None:
        """Call once, in any thread, when there is a message after that number, or an end."""
        with self._lock:
            if self.last_seq <= after and not self.has_ended:
                self._waiting.append(call)
                return
        call()

    def forget(self, call: Callable[[], object]) -> None:
        """Nobody waits for that call any more."""
        with self._lock, suppress(ValueError):  # it was made
            self._waiting.remove(call)

    def close(self) -> None:
        """Give the file back; who still reads is told that it is gone."""
        with self._lock:
            self.has_ended = self.is_closed = True
            self._ring.clear()
            self._users += 1
            leased_bytes, self._leased_bytes = self._leased_bytes, 0
            waiting, self._waiting = self._waiting, []
        self._let_go()
        if self._spools is not None:
            self._spools.forget(self)
            self._spools.give_back(leased_bytes)
        for call in waiting:
            call()

    # -- inside, in the thread of whoever writes ---------------------------------------------------

    def _append(
        self, kind: str, worker_id: str | None, more: dict[str, Any], *, is_last: bool
    ) -> int:
        data = frame(kind, self._task_id, worker_id, self.last_seq + 1, **more)
        with self._lock:
            if self.has_ended:
                return 0
            if kind == "task_output" and self._spool_bytes + len(data) > self._most_bytes:
                self.dropped_bytes += len(data)
                return 0
            self.last_seq += 1
            self._ring.append(data)
            self._ring_bytes += len(data)
            self.has_ended = is_last
            waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()
        while self._shift():
            pass
        if is_last and self._spools is not None and self._spooled:
            self._spools.ended(self)
        return self.last_seq

    def _shift(self) -> bool:
        """Move the oldest message to the file; False where all may stay, or the disk is full."""
        with self._lock:
            if self.is_closed or self._ring_bytes <= RING_BYTES or len(self._ring) < 2:
                return False
            line = self._ring[0] + b"\n"
            self._users += 1
        try:
            is_done = self._spool(line)
            with self._lock:
                if self.is_closed:
                    return False
                if not is_done:
                    self._most_bytes = 0  # what is there stays; output that comes is dropped
                    return False
                self._ring_bytes -= len(self._ring.popleft())
                self._spooled += 1
                self._spool_bytes += len(line)
                if self._spool_bytes - self._index[-1][1] >= _INDEX_BYTES:
                    self._index.append((self._spooled + 1, self._spool_bytes))
                return True
        finally:
            self._let_go()

    def _spool(self, line: bytes) -> bool:
        """Write to the end of the file; False where there is no room."""
        try:
            if not self._has_room(len(line)):
                return False
            if self._fd < 0:
                with tempfile.TemporaryFile(dir=self._directory) as file:
                    self._fd = os.dup(file.fileno())
            return os.pwrite(self._fd, line, self._spool_bytes) == len(line)
        except OSError:
            return False

    def _has_room(self, count: int) -> bool:
        if self._spools is None or self._spool_bytes + count <= self._leased_bytes:
            return True
        lease_bytes = max(LEASE_BYTES, count)
        if not self._spools.take(lease_bytes):
            return False
        with self._lock:
            if not self.is_closed:
                self._leased_bytes += lease_bytes
                return True
        self._spools.give_back(lease_bytes)
        return False

    # -- inside ------------------------------------------------------------------------------------

    def _let_go(self) -> None:
        """The file is not used any more."""
        with self._lock:
            self._users -= 1
            if self.is_closed and not self._users and self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

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
