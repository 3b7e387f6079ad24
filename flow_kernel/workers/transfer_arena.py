"""Memory that two processes of one machine see, for values on their way.

Called by `transfer` and by those who send with it.

    buffers ─▶ places: 64-byte alignment; what overlaps at the sender overlaps in the arena too
    arena   ─▶ rooms:  memory of the receiver's own; what overlaps in the arena shares a room

So an array and a view of it are one memory again on the other side. New pages come by `pwrite`,
which is faster than a fault for each and says in time when there is no room; pages that are there
are written through a mapping, which is faster still and keeps.
"""

import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

ALIGNMENT: Final = 64
KEPT_BYTES: Final = 256 << 20
_LARGE_BYTES: Final = 4 << 20  # what malloc would map; and huge pages begin at half of it
_MAPPED_BYTES: Final = 1 << 20
_COPY_BYTES: Final = 64 << 20
_POPULATE_WRITE: Final = 23  # MADV_POPULATE_WRITE, which `mmap` has no name for

Place = tuple[int, int]
"""Offset and number of bytes."""


class Buffer(NamedTuple):
    """Bytes to send.

    Attributes:
        view: They, flat.
        address: Where they are, when others may be on the same memory; None for bytes apart.
    """

    view: memoryview
    address: int | None = None


class Layout(NamedTuple):
    """Where buffers go, and how much that takes."""

    places: list[Place]
    nbytes: int


def laid_out(buffers: Sequence[Buffer]) -> Layout:
    """A place for each buffer; those that overlap in memory overlap (pure)."""
    places: list[Place] = [(0, view.nbytes) for view, _ in buffers]
    end = 0

    def taken(nbytes: int, lead: int = 0) -> int:
        nonlocal end
        begin = -(-end // ALIGNMENT) * ALIGNMENT + lead
        end = begin + nbytes
        return begin

    known = [(number, one.address) for number, one in enumerate(buffers) if one.address is not None]
    for first, last, members in regions([(at, buffers[number][0].nbytes) for number, at in known]):
        # The address modulo 64 stays, so that what is aligned within stays so.
        base = taken(last - first, first % ALIGNMENT if len(members) > 1 else 0)
        for member in members:
            number, at = known[member]
            places[number] = (base + at - first, buffers[number][0].nbytes)
    for number, one in enumerate(buffers):
        if one.address is None:
            places[number] = (taken(one.view.nbytes), one.view.nbytes)
    return Layout(places, end)


def regions(places: Sequence[Place]) -> Iterator[tuple[int, int, list[int]]]:
    """Begin, end and members of each run of places that overlap (pure). Empty ones are alone."""
    members: list[int] = []
    begin = end = -1
    for number in sorted(range(len(places)), key=lambda n: places[n]):
        offset, nbytes = places[number]
        if nbytes == 0:
            yield offset, offset, [number]
            continue
        if members and offset < end:
            members.append(number)
            end = max(end, offset + nbytes)
            continue
        if members:
            yield begin, end, members
        begin, end, members = offset, offset + nbytes, [number]
    if members:
        yield begin, end, members


def room(nbytes: int) -> Any:
    """Writable memory of our own. Large ones in huge pages: most of the cost are page faults."""
    if nbytes < _LARGE_BYTES:
        return bytearray(nbytes)
    # Private, so that a fork has its own.
    made = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(AttributeError, OSError):
        made.madvise(mmap.MADV_HUGEPAGE)
    return made


class Arena:
    """A file in memory without a name, kept between sendings: its pages are the cost of a new one.

    What is written stays until the next `write`, so a sending has to be received before the next.

    Args:
        folder: A directory of mode 0700 for systems without memfd.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._fd = -1
        self._nbytes = 0
        self._mapping: mmap.mmap | None = None

    @property
    def path(self) -> str:
        """How another process of this user opens it, as long as it is open here."""
        return f"/proc/{os.getpid()}/fd/{self._open()}"

    @property
    def nbytes(self) -> int:
        """How much memory it holds."""
        return self._nbytes

    def write(self, buffers: Sequence[Buffer | bytes | bytearray | memoryview]) -> list[Place]:
        """Copy buffers in, over whatever was there.

        Returns:
            A place for each, in their order.

        Raises:
            OSError: No room; what was received before is safe.
        """
        wanted = [
            one if isinstance(one, Buffer) else Buffer(memoryview(one).cast("B")) for one in buffers
        ]
        layout = laid_out(wanted)
        self._open()
        done = 0
        # The longest first among equal offsets: what lies within it is there already.
        order = sorted(
            range(len(wanted)), key=lambda n: (layout.places[n][0], -wanted[n][0].nbytes)
        )
        for number in order:
            offset, nbytes = layout.places[number]
            if nbytes and offset + nbytes > done:
                self._put(wanted[number].view, offset)
                done = offset + nbytes
        return layout.places

    def trim(self) -> None:
        """Give back what a large sending took; called when nobody receives."""
        if self._nbytes > KEPT_BYTES:
            self._unmap()
            os.ftruncate(self._fd, KEPT_BYTES)
            self._nbytes = KEPT_BYTES

    def close(self) -> None:
        """Give back everything."""
        self._unmap()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._nbytes = -1, 0

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = self._made()
        return self._fd

    def _made(self) -> int:
        if hasattr(os, "memfd_create"):
            with suppress(OSError):  # a sandbox may forbid it
                return os.memfd_create("flow-arena", os.MFD_CLOEXEC)
        with tempfile.TemporaryFile(prefix="flow-arena-", dir=self._folder) as file:
            return os.dup(file.fileno())

    def _put(self, view: memoryview, offset: int) -> None:
        done = min(view.nbytes, self._nbytes - offset)
        if done >= _MAPPED_BYTES:
            self._map(offset, done)[offset : offset + done] = view[:done]
        else:
            done = 0
        while done < view.nbytes:
            done += os.pwrite(self._fd, view[done : done + _COPY_BYTES], offset + done)
        self._nbytes = max(self._nbytes, offset + done)

    def _map(self, offset: int, nbytes: int) -> memoryview:
        if self._mapping is not None and len(self._mapping) < offset + nbytes:
            self._unmap()
        if self._mapping is None:
            self._mapping = mmap.mmap(self._fd, self._nbytes)
        begin = offset - offset % mmap.PAGESIZE
        with suppress(OSError):  # Linux before 5.14: one fault for each page
            self._mapping.madvise(_POPULATE_WRITE, begin, offset + nbytes - begin)
        return memoryview(self._mapping)

    def _unmap(self) -> None:
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None
