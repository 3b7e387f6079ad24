"""What the tasks of a server may keep on the disk together, and which of them makes room.

Made by `engine`; called by `stream` in whichever thread its file grows.

A file grows while all of them stay below the bound and the disk keeps a reserve; else the task that
has ended first, and that nobody reads, is not kept any more. Where there is none, what comes is
dropped and counted.
"""

import shutil
import threading
from pathlib import Path
from typing import Final, Protocol

LEASE_BYTES: Final = 1 << 20
"""A file grows by so much at a time: the disk is not asked for each message."""


class Kept(Protocol):
    """A stream that has ended."""

    followers: int

    def close(self) -> None:
        """It is not kept any more."""


class Spools:
    """See the module.

    Args:
        directory: Where the files are.
        most_bytes: Of all of them.
        reserve_bytes: That stay free on that disk.
    """

    def __init__(self, directory: Path, *, most_bytes: int, reserve_bytes: int) -> None:
        self.directory: Path = directory
        self._most_bytes = most_bytes
        self._reserve_bytes = reserve_bytes
        self._lock = threading.Lock()
        self._used_bytes = 0
        self._ended: dict[Kept, None] = {}

    def take(self, count: int) -> bool:
        """So many bytes more; False where there is no room for them.

        Raises:
            OSError: The directory is gone.
        """
        while True:
            with self._lock:
                free_bytes = shutil.disk_usage(self.directory).free - count
                is_low = free_bytes < self._reserve_bytes
                if not is_low and self._used_bytes + count <= self._most_bytes:
                    self._used_bytes += count
                    return True
                oldest = next((each for each in self._ended if not each.followers), None)
                if oldest is None:
                    return False
                del self._ended[oldest]
            oldest.close()  # it gives back what it has, with that lock

    def give_back(self, count: int) -> None:
        """So many bytes are free again."""
        with self._lock:
            self._used_bytes -= count

    def ended(self, stream: Kept) -> None:
        """A stream that has a file has ended."""
        with self._lock:
            self._ended[stream] = None

    def forget(self, stream: Kept) -> None:
        """It is not kept any more."""
        with self._lock:
            self._ended.pop(stream, None)
