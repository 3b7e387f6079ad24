"""The content of one file as chunks: cut while it is read, and read again.

Called by `store.files.capture` to write, by `store.files.swap` and `store.files.table` to read.
"""

from collections.abc import Callable, Iterator

from flow_kernel.store.files.entries import Part
from flow_kernel.store.files.opened import read_at
from flow_kernel.store.snapshots.content import CHUNK_BYTES, MOST_IN_PLACE, ListDamaged, listed
from flow_kernel.store.snapshots.fast import Content
from flow_kernel.store.snapshots.segments import ChunkLost
from flow_kernel.store.snapshots.writer import Writer

Read = Callable[[bytes], Content]
"""Gives the content of a chunk, or raises ChunkLost."""


def cut(fd: int, size: int, writer: Writer) -> tuple[Part, tuple[bytes, ...]] | None:
    """The content of an open file as chunks; no more of it is in memory than one.

    Args:
        fd: Its place is not moved, and not looked at.
        size: That it should have.
        writer: Takes the chunks.

    Returns:
        The part and all chunks that it needs; None when the file has another size.

    Raises:
        OSError: It cannot be read.
        StoreError: The chunks cannot be written.
    """
    digests: list[bytes] = []
    left = size
    while left:
        block = _whole_block(fd, size - left, min(CHUNK_BYTES, left))
        if not block:
            return None
        digests.append(writer.put(block))
        left -= len(block)
    if read_at(fd, size, 1):
        return None
    if len(digests) <= MOST_IN_PLACE:
        return Part(nbytes=size, chunks=tuple(one.hex() for one in digests)), tuple(digests)
    names = writer.put(b"".join(digests))
    return Part(nbytes=size, listed=names.hex()), (*digests, names)


def digests(part: Part, read: Read) -> list[bytes]:
    """The chunks of a part in order, without the one that lists them.

    Raises:
        ChunkLost: The list is missing or damaged.
    """
    if part.listed is None:
        return [bytes.fromhex(chunk) for chunk in part.chunks]
    try:
        return listed(read(bytes.fromhex(part.listed)))
    except ListDamaged as error:
        raise ChunkLost(str(error)) from None


def needed_by(part: Part | None, read: Read) -> Iterator[bytes]:
    """All chunks that a part needs, the one that lists them first.

    Raises:
        ChunkLost: The list is missing or damaged; it was named.
    """
    if part is None:
        return
    if part.listed is not None:
        yield bytes.fromhex(part.listed)
    yield from digests(part, read)


def content(part: Part, read: Read) -> Iterator[Content]:
    """The content of a part piece by piece, each proven to be what was written.

    Raises:
        ChunkLost: A chunk is missing or damaged, or it is not as long as it should be.
    """
    left = part.nbytes
    for digest in digests(part, read):
        piece = read(digest)
        left -= len(piece)
        yield piece
    if left:
        raise ChunkLost("its chunks are not as long as it")


def _whole_block(fd: int, start: int, size: int) -> bytes:
    """So many bytes from a place on; nothing where the file ends before."""
    block = b""
    while len(block) < size:
        got = read_at(fd, start + len(block), size - len(block))
        if not got:
            return b""
        block += got
    return block
