"""The content of one file as chunks: cut while it is read, and read again.

Called by `store.files.capture` to write, by `store.files.swap` and `store.files.table` to read.
"""

import os
from collections.abc import Callable, Iterator

from flow_kernel.store.files.entries import Part
from flow_kernel.store.snapshots.content import CHUNK_BYTES, MOST_IN_PLACE, ListDamaged, listed
from flow_kernel.store.snapshots.fast import Content
from flow_kernel.store.snapshots.segments import ChunkLost
from flow_kernel.store.snapshots.writer import Writer

Read = Callable[[bytes], Content]
"""Gives the content of a chunk, or raises ChunkLost."""


def cut(fd: int, size: int, writer: Writer) -> tuple[Part, tuple[bytes, ...]] | None:
    """The content of an open file as chunks; no more of it is in memory than one.

    Args:
        fd: At its beginning.
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
        block = _whole_block(fd, min(CHUNK_BYTES, left))
        if not block:
            return None
        digests.append(writer.put(block))
        left -= len(block)
    if os.read(fd, 1):
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


def _whole_block(fd: int, nbytes: int) -> bytes:
    """As many bytes as there are, up to a number: equal content is cut in equal places."""
    block = os.read(fd, nbytes)
    while len(block) < nbytes:
        more = os.read(fd, nbytes - len(block))
        if not more:
            break
        block += more
    return block
