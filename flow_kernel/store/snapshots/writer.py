"""Writes chunks into a segment of its own.

Called by `session.checkpoints`, in the child that saves or in the session itself.

    put, put, … ─▶ sync (on the disk, its name too) ─▶ the manifest may name the chunks

A writer that is killed leaves a segment with a torn end; its whole frames are good and are used by
whoever needs the same content, the rest is nothing's.
"""

import os
from pathlib import Path
from typing import Final, Protocol

from flow_kernel.errors import StoreError
from flow_kernel.store.snapshots.frame import (
    SEGMENT_MAGIC,
    Content,
    digest_of,
    pack,
    read_header,
)
from flow_kernel.store.snapshots.segments import Chunks, Placed, next_segment, sync_directory

_BUFFER_BYTES: Final = 1 << 20
SEGMENT_BYTES: Final = 256 << 20
"""Size at which a writer begins another file."""


class Writer(Protocol):
    """Takes content and names it."""

    bytes_new: int

    def put(self, raw: Content) -> bytes:
        """Take content. Returns its digest."""

    def sync(self) -> None:
        """What was taken is safe."""

    def close(self) -> None:
        """The end."""


class DigestWriter:
    """Names content and keeps nothing."""

    def __init__(self) -> None:
        self.bytes_new: int = 0

    def put(self, raw: Content) -> bytes:
        """The digest of content."""
        return digest_of(raw)

    def sync(self) -> None:
        """Nothing has to be."""

    def close(self) -> None:
        """Nothing is open."""


class ChunkWriter:
    """Adds chunks to a directory of segments; no file is made before the first new chunk.

    Args:
        where: The directory; made when it is not there.
        chunks: What is there already; told of what is added.
        owner: Begins the names of the files.
    """

    def __init__(self, where: Path, chunks: Chunks, *, owner: str) -> None:
        self._where = where
        self._chunks = chunks
        self._owner = owner
        self._path: Path | None = None
        self._fd = -1
        self._end = 0
        self._buffer = bytearray()
        self._fresh: dict[bytes, Placed] = {}
        self.bytes_new: int = 0

    def put(self, raw: Content) -> bytes:
        """Keep content. Returns its digest.

        Raises:
            StoreError: The disk refuses; the writer is of no use any more.
        """
        digest = digest_of(raw)
        if digest in self._fresh or digest in self._chunks:
            return digest
        head, stored = pack(raw, digest)
        try:
            if self._path is None or self._end > SEGMENT_BYTES:
                self._begin()
            at = self._end
            self._add(head, stored)
        except OSError as error:
            raise _refused(self._where, error) from error
        assert self._path is not None  # noqa: S101 - `_begin` has set it
        self._fresh[digest] = Placed(path=self._path, offset=at, header=read_header(head))
        self.bytes_new += len(head) + len(stored)
        return digest

    def sync(self) -> None:
        """Everything put so far is on the disk when this returns.

        Raises:
            StoreError: The disk refuses.
        """
        try:
            self._flush()
            if self._fd >= 0:
                os.fsync(self._fd)
                sync_directory(self._where)
        except OSError as error:
            raise _refused(self._where, error) from error
        # Not before: what the disk has refused must not pass for written at the next checkpoint.
        self._chunks.note(self._fresh.values())
        self._fresh = {}

    def close(self) -> None:
        """Close the file; what was not synced may be lost. Harmless the second time."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # -- inside ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._fd >= 0:
            self.sync()
            self.close()
        self._where.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        while self._fd < 0:
            path = next_segment(self._where, self._owner)
            try:
                self._fd = os.open(path, flags, 0o600)
            except FileExistsError:  # another writer of this session was faster
                continue
            self._path, self._end = path, 0
        self._add(SEGMENT_MAGIC, b"")

    def _add(self, head: bytes, stored: Content) -> None:
        self._buffer += head
        if len(self._buffer) + len(stored) < _BUFFER_BYTES:
            self._buffer += stored
        else:
            self._flush()
            _write_all(self._fd, stored)
        self._end += len(head) + len(stored)

    def _flush(self) -> None:
        if self._buffer:
            _write_all(self._fd, self._buffer)
            self._buffer = bytearray()


def _write_all(fd: int, data: Content) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _refused(where: Path, error: OSError) -> StoreError:
    return StoreError(f"{where} cannot be written: {error.strerror or error}")
