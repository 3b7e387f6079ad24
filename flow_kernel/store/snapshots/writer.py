"""Writes chunks into a segment that nobody else writes to at the time.

Called by `session.checkpoints`, in the child that saves or in the session itself.

    put, put, … ─▶ sync (on the disk, its name too; marked) ─▶ the manifest may name the chunks

It goes on in the last segment of the same owner when that ends with a whole frame. A writer that is
killed leaves a torn end, and whole frames that no mark says to have reached the disk. Whoever needs
the same content reads such a frame first, and brings its file to the disk before it names it.
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from flow_kernel.errors import StoreError
from flow_kernel.records.locks import lock
from flow_kernel.store.snapshots.ahead import ahead
from flow_kernel.store.snapshots.fast import Content, fast_hash
from flow_kernel.store.snapshots.files import next_segment, sync_directory, sync_file, write_all
from flow_kernel.store.snapshots.frame import (
    MARK_BYTES,
    SEGMENT_MAGIC,
    digest_of,
    pack,
    read_header,
)
from flow_kernel.store.snapshots.segments import ChunkLost, Chunks, Placed
from flow_kernel.store.snapshots.settling import Settling, settle

_BUFFER_BYTES: Final = 1 << 20
SEGMENT_BYTES: Final = 64 << 20
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

    def put_all(
        self, pieces: Iterable[Content], *, is_code: bool = True, is_still: bool = False
    ) -> list[bytes]:
        """Take many. Returns their digests.

        Args:
            pieces: Bytes.
            is_code: As for `put`.
            is_still: True when nobody can change them meanwhile.
        """

    def has(self, digests: Sequence[bytes]) -> bool:
        """True when content of all these digests need not be put again."""

    def refresh(self) -> None:
        """See what others have written."""

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

    def put_all(
        self, pieces: Iterable[Content], *, is_code: bool = True, is_still: bool = False
    ) -> list[bytes]:
        """The digests of many."""
        return list(ahead(partial(self.put, is_code=is_code), pieces))

    def has(self, digests: Sequence[bytes]) -> bool:
        """Nothing is kept."""
        return False

    def refresh(self) -> None:
        """Nothing is looked up but what was known at first."""

    def sync(self) -> None:
        """Nothing has to be."""

    def close(self) -> None:
        """Nothing is open."""


class _Known(NamedTuple):
    """Content that seems to be there already."""

    digest: bytes
    raw: Content


class _Ready(NamedTuple):
    """Content as it will be written."""

    digest: bytes
    fast: bytes | None
    raw_bytes: int
    head: bytes
    stored: Content

    @classmethod
    def of(cls, raw: Content, digest: bytes, fast: bytes | None) -> "_Ready":
        """All that there is to know of content."""
        return cls(digest, fast, len(raw), *pack(raw, digest, fast))


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
        self._relied: set[Path] = set()
        self._settling = Settling()
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
        return self._put(self._ready(raw, is_code=is_code))

    def put_all(
        self, pieces: Iterable[Content], *, is_code: bool = True, is_still: bool = False
    ) -> list[bytes]:
        """Keep many pieces; of many, the next ones are made ready while one is written.

        Args:
            pieces: As `put` takes them.
            is_code: Likewise.
            is_still: True when nobody can change them meanwhile; they need not be copied then.

        Raises:
            StoreError: The disk refuses; the writer is of no use any more.
        """
        return [
            self._put(ready)
            for ready in ahead(partial(self._ready, is_code=is_code, is_still=is_still), pieces)
        ]

    def _ready(self, raw: Content, *, is_code: bool, is_still: bool = False) -> "_Ready | _Known":
        """Content as it will be written; of the writer itself nothing is changed."""
        fast = fast_hash(raw)
        if not is_code and fast is not None:
            known = self._fresh_fast.get((fast, len(raw))) or self._chunks.known(fast, len(raw))
            if known is not None:
                return _Known(known, raw)
        if not is_still:  # what is hashed and what is written must be one, whatever threads do
            raw = bytes(raw)
            fast = fast_hash(raw)
        digest = digest_of(raw)
        if digest in self._fresh or digest in self._chunks:
            return _Known(digest, raw)
        return _Ready.of(raw, digest, fast)

    def _put(self, ready: "_Ready | _Known") -> bytes:
        if isinstance(ready, _Known):
            if self._is_there(ready.digest):
                return ready.digest
            raw = bytes(ready.raw)
            ready = _Ready.of(raw, digest_of(raw), fast_hash(raw))
        digest, fast, raw_bytes = ready.digest, ready.fast, ready.raw_bytes
        if self._is_there(digest):
            return digest
        head, stored = ready.head, ready.stored
        try:
            if self._path is None or self._end >= SEGMENT_BYTES:
                self._begin()
            at = self._end
            self._add(head, stored)
        except OSError as error:
            raise _refused(self._where, error) from error
        assert self._path is not None  # noqa: S101 - `_begin` has set it
        self._fresh[digest] = Placed(path=self._path, offset=at, header=read_header(head))
        if fast is not None:
            self._fresh_fast[fast, raw_bytes] = digest
        self.bytes_new += len(head) + len(stored)
        return digest

    def has(self, digests: Sequence[bytes]) -> bool:
        """True when content of all these digests need not be put again."""
        return all(map(self._is_there, digests))

    def refresh(self) -> None:
        """See what others have written meanwhile."""
        self._chunks.refresh()

    def sync(self) -> None:
        """Everything put so far is on the disk when this returns.

        Raises:
            StoreError: The disk refuses.
        """
        try:
            self._flush()
            for path in self._relied:
                sync_file(path)
            if self._fd >= 0 and self._fresh:
                settle(self._fd, self._end, self._where)
                self._end += MARK_BYTES
            self._settling.wait()
            if self._relied:
                sync_directory(self._where)
        except OSError as error:
            raise _refused(self._where, error) from error
        # Not before: what the disk has refused must not pass for written at the next checkpoint.
        self._chunks.note(self._fresh.values())
        self._fresh, self._fresh_fast, self._relied = {}, {}, set()

    def close(self) -> None:
        """Close the file; what was not synced may be lost. Harmless the second time."""
        with suppress(OSError):
            self._settling.wait()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # -- inside ------------------------------------------------------------------------------------

    def _is_there(self, digest: bytes) -> bool:
        """True when content need not be written again."""
        if digest in self._fresh:
            return True
        places = self._chunks.places(digest)
        if any(self._chunks.is_marked(placed) for placed in places):
            return True
        if not places:
            return False
        try:
            self._chunks.read(digest)  # after a power loss a frame may be there and its bytes not
        except ChunkLost:
            return False
        self._relied.update(placed.path for placed in places)
        return True

    def _begin(self) -> None:
        if self._fd >= 0:
            self._flush()
            fd, self._fd = self._fd, -1
            self._settling.take(fd, self._end, self._where)
        elif self._go_on():
            return
        self._where.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        while self._fd < 0:
            path = next_segment(self._where, self._owner)
            try:
                self._fd = os.open(path, flags, 0o600)
            except FileExistsError:  # another writer of this session was faster
                continue
            self._path, self._end = path, 0
        lock(self._fd, 0)
        self._add(SEGMENT_MAGIC, b"")

    def _go_on(self) -> bool:
        """Take the last segment of this owner, where it is whole and nobody writes to it."""
        last = self._chunks.to_go_on(self._owner, SEGMENT_BYTES)
        if last is None:
            return False
        path, size = last
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:  # collected meanwhile
            return False
        # Only with the lock: another one may have written, or the file been deleted, just before.
        is_ours = lock(fd, 0)
        status = os.fstat(fd)
        if not is_ours or status.st_size != size or not status.st_nlink:
            os.close(fd)
            return False
        self._path, self._fd, self._end = path, fd, size
        return True

    def _add(self, head: bytes, stored: Content) -> None:
        self._buffer += head
        if len(self._buffer) + len(stored) < _BUFFER_BYTES:
            self._buffer += stored
        else:
            self._flush()
            write_all(self._fd, stored)
        self._end += len(head) + len(stored)

    def _flush(self) -> None:
        if self._buffer:
            write_all(self._fd, self._buffer)
            self._buffer = bytearray()


def _refused(where: Path, error: OSError) -> StoreError:
    return StoreError(f"{where} cannot be written: {error.strerror or error}")
