"""All chunks of a home: which there are, and their content.

Called by `session.checkpoints` to restore, by `writer` to know what need not be written again, and
by `check` and `collect`.

Segments are only appended to, each by one process at a time; nothing in them ever changes, so what
was read of one stays right and a longer one is read from where it ended. What lies behind the last
mark of its segment may not have reached the disk: its writer was killed, or is at work.
"""

import mmap
import os
import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flow_kernel.store.snapshots.fast import Content
from flow_kernel.store.snapshots.files import SUFFIX, newest_of
from flow_kernel.store.snapshots.frame import (
    HEADER_BYTES,
    SEGMENT_MAGIC,
    FrameDamaged,
    Header,
    read_header,
    unpack,
)
from flow_kernel.store.snapshots.scan import Found, Hole, Marked, scan


class ChunkLost(LookupError):
    """A chunk is in no segment, or damaged in all; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a chunk lies."""

    path: Path
    offset: int
    header: Header

    @property
    def end(self) -> int:
        """Where the next frame begins."""
        return self.offset + self.header.frame_bytes

    def unpacked(self, data: bytes, *, is_code: bool) -> Content:
        """The content out of the bytes of the frame; see `frame.unpack`."""
        # Not by the header in `data`: that may be another frame's by now.
        if read_header(data[:HEADER_BYTES]) != self.header:
            raise FrameDamaged("is another frame now")
        return unpack(self.header, memoryview(data)[self.header.head_bytes :], is_code=is_code)


class Chunks:
    """The chunks of one directory of segments; one thread at a time.

    Args:
        where: The directory; need not exist.
    """

    def __init__(self, where: Path) -> None:
        self._where = where
        # The thread of a checkpoint looks as well; no fork happens meanwhile.
        self._refreshing = threading.Lock()
        self._pid = os.getpid()
        self._placed: dict[bytes, Placed] = {}
        self._again: dict[bytes, list[Placed]] = {}
        self._by_fast: dict[tuple[bytes, int], bytes] = {}
        self._ends: dict[Path, int] = {}
        self._sizes: dict[Path, int] = {}
        self._marks: dict[Path, int] = {}
        self.losses: int = 0
        """How often segments were found gone: what was in one of them may be nowhere now."""

    def refresh(self) -> None:
        """See what was written since, by anybody; about 2 µs a file where nothing was."""
        if self._pid != os.getpid():  # who held the lock at the fork is not here to let it go
            self._refreshing, self._pid = threading.Lock(), os.getpid()
        with self._refreshing:
            self._refresh()

    def _refresh(self) -> None:
        sizes = _sizes(self._where)
        # What was only written here, and never read, can be gone as well.
        if gone := (self._sizes.keys() | self._marks.keys()) - sizes.keys():
            self._forget(gone)
        for path in sorted(sizes):
            if sizes[path] != self._sizes.get(path):
                self._read(path)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._placed

    def __iter__(self) -> Iterator[Placed]:
        return iter(self._placed.values())

    def place(self, digest: bytes) -> Placed | None:
        """Where a chunk lies; None when it is nowhere."""
        return self._placed.get(digest)

    def places(self, digest: bytes) -> list[Placed]:
        """All places where a chunk lies: two writers at once may both have brought it."""
        first = self._placed.get(digest)
        return [] if first is None else [first, *self._again.get(digest, ())]

    def known(self, fast: bytes, raw_bytes: int) -> bytes | None:
        """The digest of content by its fast hash and length; for what is not code."""
        return self._by_fast.get((fast, raw_bytes))

    @property
    def nbytes(self) -> int:
        """What all segments take on the disk, as of the last look."""
        return sum(self._sizes.values())

    def note(self, written: Iterable[Placed]) -> None:
        """Learn of chunks that this process has written and that a mark now follows."""
        for placed in written:
            self._take(placed)
            self._marks[placed.path] = max(placed.end, self._marks.get(placed.path, 0))

    def is_marked(self, placed: Placed) -> bool:
        """True when a chunk is known to have reached the disk."""
        return placed.end <= self._marks.get(placed.path, 0)

    def to_go_on(self, owner: str, most_bytes: int) -> tuple[Path, int] | None:
        """The segment that a writer has begun last, and its size; None when it needs a new one.

        Args:
            owner: The writer.
            most_bytes: A longer one is full.
        """
        path = newest_of(self._sizes, owner)
        if path is None:
            return None
        size = self._sizes[path]
        # Nothing is ever added behind a torn end, nor to a file that has not even a beginning.
        return (path, size) if 0 < size == self._ends.get(path, 0) < most_bytes else None

    def read(self, digest: bytes, *, is_code: bool = True) -> Content:
        """The content of a chunk, proven to be what was written.

        Args:
            digest: Which.
            is_code: False for raw buffers, which a fast hash may prove; see `frame.prove`.

        Raises:
            ChunkLost: There is none, or it is damaged wherever it lies.
        """
        why = f"chunk {digest.hex()[:16]} is in no segment"
        for placed in self.places(digest):
            try:
                with placed.path.open("rb") as file:
                    file.seek(placed.offset)
                    data = file.read(placed.header.frame_bytes)
                return placed.unpacked(data, is_code=is_code)
            except (OSError, FrameDamaged) as error:
                why = f"chunk {digest.hex()[:16]} in {placed.path.name} at {placed.offset}: {error}"
        raise ChunkLost(why)

    # -- inside ------------------------------------------------------------------------------------

    def _take(self, placed: Placed) -> None:
        _take(placed, self._placed, self._again, self._by_fast)

    def _forget(self, gone: Collection[Path]) -> None:
        """Drop what lay in files that were deleted."""
        self.losses += 1
        left = [
            placed
            for digest in self._placed
            for placed in self.places(digest)
            if placed.path not in gone
        ]
        tables: _Tables = ({}, {}, {})
        for placed in left:
            _take(placed, *tables)
        # In whole: the other thread of a read looks chunks up meanwhile.
        self._placed, self._again, self._by_fast = tables
        for known in (self._ends, self._sizes, self._marks):
            for path in gone:
                known.pop(path, None)

    def _read(self, path: Path) -> None:
        try:
            size = self._sizes[path] = path.stat().st_size
            start = self._ends.get(path, 0)
            if size <= start or size < len(SEGMENT_MAGIC):
                return
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) as data,
            ):
                self._ends[path] = self._take_in(path, data, start)
        except FileNotFoundError:  # collected meanwhile
            self._forget([path])

    def _take_in(self, path: Path, data: mmap.mmap, start: int) -> int:
        """Take in the frames from `start` on. Returns where the last whole one ends."""
        end = start
        for piece in scan(data, start):
            match piece:
                case Found(offset, end, header):
                    self._take(Placed(path=path, offset=offset, header=header))
                case Marked(offset, end):
                    self._marks[path] = offset
                case Hole():
                    pass  # damage is named by `survey`; the end is looked at again when it grows
        return end


_Tables = tuple[dict[bytes, Placed], dict[bytes, list[Placed]], dict[tuple[bytes, int], bytes]]


def _take(
    placed: Placed,
    first_of: dict[bytes, Placed],
    again: dict[bytes, list[Placed]],
    by_fast: dict[tuple[bytes, int], bytes],
) -> None:
    header = placed.header
    first = first_of.setdefault(header.digest, placed)
    if first != placed and placed not in (more := again.setdefault(header.digest, [])):
        more.append(placed)
    if header.fast is not None:
        by_fast.setdefault((header.fast, header.raw_bytes), header.digest)


def _sizes(where: Path) -> dict[Path, int]:
    found = {}
    try:
        with os.scandir(where) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    with suppress(FileNotFoundError):  # collected meanwhile
                        found[where / entry.name] = entry.stat().st_size
    except FileNotFoundError:  # no checkpoint was ever taken
        pass
    return found
