"""Brings full segments to the disk while the next one is being written.

Used by `writer`: waiting for the disk after each 64 MB takes a fifth of the time of a gigabyte.
"""

import os
import threading
from pathlib import Path
from typing import Final

from flow_kernel.store.snapshots.files import sync_directory, write_all
from flow_kernel.store.snapshots.frame import mark


def settle(fd: int, end: int, where: Path) -> None:
    """A segment is on the disk, its name too, and marked as such, when this returns.

    Args:
        fd: Of the segment, open to append.
        end: Its length.
        where: The directory that it lies in.

    Raises:
        OSError: The disk refuses.
    """
    os.fsync(fd)
    sync_directory(where)  # before the mark: whoever sees that relies on the name as well
    write_all(fd, mark(end))


_AT_ONCE: Final = 4


class Settling:
    """Segments on their way to the disk."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._errors: list[OSError] = []

    def take(self, fd: int, end: int, where: Path) -> None:
        """Bring a segment to the disk and close it; `wait` says whether that went well.

        Args:
            fd: Of the segment; this closes it.
            end: Its length.
            where: The directory that it lies in.
        """
        if len(self._threads) >= _AT_ONCE:  # a slow disk shall not gather threads
            self._threads.pop(0).join()
        thread = threading.Thread(
            target=self._settle, args=(fd, end, where), name="flow-settling", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads
            self._settle(fd, end, where)
        else:
            self._threads.append(thread)

    def wait(self) -> bool:
        """All of them are on the disk when this returns; False when there were none.

        Raises:
            OSError: The disk refused one of them.
        """
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        return bool(threads)

    def _settle(self, fd: int, end: int, where: Path) -> None:
        try:
            settle(fd, end, where)
        except OSError as error:
            self._errors.append(error)
        finally:
            os.close(fd)
