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
from flow_kernel.store.snapshots.fast import Content, fast_hash
from flow_kernel.store.snapshots.frame import SEGMENT_MAGIC, digest_of, pack, read_header
from flow_kernel.store.snapshots.segments import Chunks, Placed, next_segment, sync_directory

_BUFFER_BYTES: Final = 1 << 20
SEGMENT_BYTES: Final = 256 << 20
"""Size at which a writer begins another file."""


class Writer(Protocol):
    """Takes content and names it."""

    bytes_new: int

    def put(self, raw: Content, *, is_code: bool = True) -> bytes:
        """Take content. Returns its digest.

        Args:
            raw: Bytes.
            is_code: False for raw buffers: a fast hash is enough to know them again.
        """

    def sync(self) -> None:
        """What was taken is safe."""

    def close(self) -> None:
        """The end."""


class DigestWriter:
    """Names content and keeps nothing.

    Args:
        chunks: What is there already, and need not be hashed with care; None for nothing.
    """

    def __init__(self, chunks: Chunks | None = None) -> None:
        self._chunks = chunks
        self.bytes_new: int = 0

    def put(self, raw: Content, *, is_code: bool = True) -> bytes:
        """The digest of content."""
        if self._chunks is not None and not is_code and (fast := fast_hash(raw)) is not None:
            known = self._chunks.known(fast, len(raw))
            if known is not None:
                return known
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
        self._fresh_fast: dict[tuple[bytes, int], bytes] = {}
        self.bytes_new: int = 0

    def put(self, raw: Content, *, is_code: bool = True) -> bytes:
        """Keep content. Returns its digest.

        Args:
            raw: Bytes; others may change them meanwhile.
            is_code: True where loading it may run code: it is known again by its digest alone, so
                that nobody's segment can pass other code for it. False for raw buffers, where
                xxh3_128 and the length are enough.

        Raises:
            StoreError: The disk refuses; the writer is of no use any more.
        """
        fast = fast_hash(raw)
        if not is_code and fast is not None:
            known = self._fresh_fast.get((fast, len(raw))) or self._chunks.known(fast, len(raw))
            if known is not None:
                return known
        # A copy: what is hashed and what is written must be one, whatever other threads do.
        raw = bytes(raw)
        digest = digest_of(raw)
        if digest in self._fresh or digest in self._chunks:
            return digest
        fast = fast_hash(raw)
        head, stored = pack(raw, digest, fast)
        try:
            if self._path is None or self._end > SEGMENT_BYTES:
                self._begin()
            at = self._end
            self._add(head, stored)
        except OSError as error:
            raise _refused(self._where, error) from error
        assert self._path is not None  # noqa: S101 - `_begin` has set it
        self._fresh[digest] = Placed(path=self._path, offset=at, header=read_header(head))
        if fast is not None:
            self._fresh_fast[fast, len(raw)] = digest
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
        self._fresh, self._fresh_fast = {}, {}

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
