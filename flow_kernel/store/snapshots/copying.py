"""Copies whole frames into a segment of their own, byte for byte.

Called by `collect` and `salvage`, which delete or set aside the files that the frames came from.
"""

import os
from pathlib import Path
from typing import Final

from flow_kernel.store.snapshots.files import next_segment, sync_directory, write_all
from flow_kernel.store.snapshots.frame import SEGMENT_MAGIC, mark
from flow_kernel.store.snapshots.segments import Placed

_OWNER: Final = "kept"
_FULL_BYTES: Final = 64 << 20


class FrameCopier:
    """Adds frames to new segments; nothing is there for good before `sync`.

    Args:
        where: The directory of segments.
    """

    def __init__(self, where: Path) -> None:
        self._where = where
        self._fd = -1
        self._end = 0

    def add(self, placed: Placed) -> None:
        """Copy one frame, which must be whole.

        Raises:
            FrameDamaged: It is not; nothing was copied.
            OSError: It cannot be read, or the disk refuses.
        """
        with placed.path.open("rb") as file:
            file.seek(placed.offset)
            frame = file.read(placed.header.frame_bytes)
        placed.unpacked(frame, is_code=True)
        if self._fd < 0 or self._end >= _FULL_BYTES:
            self.sync()
            self._begin()
        write_all(self._fd, frame)
        self._end += len(frame)

    def sync(self) -> None:
        """Everything copied so far is on the disk when this returns.

        Raises:
            OSError: The disk refuses.
        """
        if self._fd < 0:
            return
        os.fsync(self._fd)
        write_all(self._fd, mark(self._end))
        sync_directory(self._where)
        self.close()

    def close(self) -> None:
        """Close the file. Harmless the second time."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _begin(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(next_segment(self._where, _OWNER), flags, 0o600)
        write_all(self._fd, SEGMENT_MAGIC)
        self._end = len(SEGMENT_MAGIC)
