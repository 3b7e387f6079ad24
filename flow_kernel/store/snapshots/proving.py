"""Whether memory holds what was written; nothing is read.

Called by `session.checkpoints.reusing`. Memory of the session was hashed in a copy of the process;
what has happened to it since, only another look tells. It costs what proving the same bytes costs
when they are read, and saves the reading.
"""

from collections.abc import Sequence
from typing import Final

from flow_kernel.records.beside import Stop, both
from flow_kernel.store.snapshots.content import CHUNK_BYTES
from flow_kernel.store.snapshots.frame import FrameDamaged, digest_of, prove
from flow_kernel.store.snapshots.segments import Chunks

_SHARED_CHUNKS: Final = 32
"""From here on two threads look."""

Numbered = tuple[int, bytes]
"""The number of a chunk within its content, and its digest."""


def unproven(chunks: Chunks, wanted: Sequence[Numbered], memory: memoryview) -> list[int]:
    """The numbers of the chunks that do not lie in memory.

    Args:
        chunks: All that there are; they know the fast hash of each.
        wanted: Which are looked for, in order.
        memory: The whole content, maybe; raw bytes, of which no code is ever made.
    """
    if len(wanted) < _SHARED_CHUNKS:
        return _unproven(chunks, wanted, memory, Stop())
    middle, stop = len(wanted) // 2, Stop()
    first, second = both(
        lambda: _unproven(chunks, wanted[:middle], memory, stop),
        lambda: _unproven(chunks, wanted[middle:], memory, stop),
        stop=stop,
    )
    return first + second


def _unproven(
    chunks: Chunks, wanted: Sequence[Numbered], memory: memoryview, stop: Stop
) -> list[int]:
    found = []
    for number, digest in wanted:
        stop.check()
        piece = memory[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        if not _is_proven(chunks, digest, piece):
            found.append(number)
    return found


def _is_proven(chunks: Chunks, digest: bytes, piece: memoryview) -> bool:
    placed = chunks.place(digest)
    if placed is None or placed.header.raw_bytes != len(piece):
        return digest_of(piece) == digest
    try:
        prove(placed.header, piece, is_code=False)
    except FrameDamaged:
        return False
    return True
