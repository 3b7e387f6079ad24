"""What the bytes of a segment consist of (pure).

Called by `segments` to know what there is, and by `survey` to find damage.

A frame is behind the one before it. Where none is, the next right one is looked for: what lies
between is a hole. A hole at the end is what a writer leaves that was killed, or is at work: torn,
and no damage, because nothing that was acknowledged is behind the last mark.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

from flow_kernel.store.snapshots.frame import (
    HEADER_BYTES,
    MAGIC_BEGINS,
    MARK_BYTES,
    SEGMENT_MAGIC,
    FrameDamaged,
    Header,
    is_mark,
    read_header,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A frame with a right header; its content was not looked at."""

    offset: int
    end: int
    header: Header


@dataclass(frozen=True, slots=True)
class Marked:
    """All before it was on the disk when it was written."""

    offset: int
    end: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes that are none of both; torn where they are the last ones."""

    offset: int
    end: int
    reason: str
    is_torn: bool


Piece = Found | Marked | Hole


def scan(data: bytes | mmap.mmap, start: int = 0) -> Iterator[Piece]:
    """The pieces of a segment, in order and without a gap.

    Args:
        data: Its bytes.
        start: Where a piece ended that was seen before; 0 for the beginning.
    """
    size = len(data)
    if not start:
        start = len(SEGMENT_MAGIC)
        if data[:start] != SEGMENT_MAGIC:
            is_torn = SEGMENT_MAGIC.startswith(data[:start])
            yield Hole(0, min(start, size), "is no segment", is_torn)
    while start < size:
        found = _at(data, start)
        piece = _hole(data, start, found) if isinstance(found, str) else found
        yield piece
        start = piece.end


def _hole(data: bytes | mmap.mmap, start: int, reason: str) -> Hole:
    following = start
    while (following := data.find(MAGIC_BEGINS, following + 1)) >= 0:
        if not isinstance(_at(data, following), str):
            return Hole(start, following, reason, is_torn=False)
    return Hole(start, len(data), reason, is_torn=True)


def _at(data: bytes | mmap.mmap, offset: int) -> Found | Marked | str:
    """What begins there; else why nothing does."""
    if is_mark(data[offset : offset + MARK_BYTES], offset):
        return Marked(offset, offset + MARK_BYTES)
    try:
        header = read_header(data[offset : offset + HEADER_BYTES])
    except FrameDamaged as error:
        return str(error)
    end = offset + header.frame_bytes
    return Found(offset, end, header) if end <= len(data) else "cut off"
