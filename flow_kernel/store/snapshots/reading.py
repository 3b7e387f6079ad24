"""Content of many chunks into one piece of memory, each proven on its way.

Called by `session.checkpoints.shelf`.

Raw chunks are read to where they belong and hashed there, so a byte is copied once. For large
content the memory comes in huge pages where the system has them: the page faults of 100 MB take
longer than reading and hashing it.
"""

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flow_kernel.records.beside import Stop, both
from flow_kernel.store.snapshots.codec import RAW
from flow_kernel.store.snapshots.frame import FrameDamaged, prove, read_header
from flow_kernel.store.snapshots.segments import ChunkLost, Chunks, Placed

_LARGE_BYTES: Final = 4 << 20
_SHARED_BYTES: Final = 16 << 20
"""From here on two threads read: a gigabyte's undo takes 150 ms with them and 205 without."""
_CAN_PLACE: Final = hasattr(os, "preadv")


def read_content(
    chunks: Chunks, digests: Sequence[bytes], nbytes: int, *, is_code: bool
) -> memoryview:
    """Chunks back to back, in writable memory.

    Args:
        chunks: All that there are.
        digests: Which, in order.
        nbytes: Their length together.
        is_code: See `frame.prove`.

    Raises:
        ChunkLost: One is missing or damaged, or they are not as long as that.
    """
    target = _memory(_length(chunks, digests, nbytes))
    read_into(chunks, digests, target, is_code=is_code)
    return target


def read_into(
    chunks: Chunks,
    digests: Sequence[bytes],
    target: memoryview,
    *,
    is_code: bool,
    stop: Stop | None = None,
) -> None:
    """Chunks back to back, into memory that somebody has.

    Args:
        chunks: All that there are.
        digests: Which, in order.
        target: As long as they are together; bytes.
        is_code: See `frame.prove`.
        stop: Looked at before each of them.

    Raises:
        ChunkLost: One is missing or damaged, or they are not as long as that.
        GivenUp: It is set.
    """
    _length(chunks, digests, len(target))
    outer, inner = stop or Stop(), Stop(stop)
    if len(target) < _SHARED_BYTES:
        _read(chunks, digests, target, is_code=is_code, stop=outer)
        return
    # Most of the time goes by without the interpreter: copying, and finding memory for it.
    middle = len(digests) // 2
    start = _length(chunks, digests[:middle], None)
    both(
        lambda: _read(chunks, digests[:middle], target[:start], is_code=is_code, stop=outer),
        lambda: _read(chunks, digests[middle:], target[start:], is_code=is_code, stop=inner),
        stop=inner,
    )


def _read(
    chunks: Chunks, digests: Sequence[bytes], target: memoryview, *, is_code: bool, stop: Stop
) -> None:
    """As `read_into`, in this thread."""
    at = 0
    with _files() as files:
        for digest in digests:
            stop.check()
            placed = chunks.place(digest)
            if placed is None:
                raise ChunkLost(f"chunk {digest.hex()[:16]} is in no segment")
            piece = target[at : at + placed.header.raw_bytes]
            if not _read_in_place(files, placed, piece, is_code=is_code):
                content = chunks.read(digest, is_code=is_code)
                if len(content) != len(piece):
                    raise ChunkLost(f"chunk {digest.hex()[:16]} has two lengths")
                piece[:] = content
            at += len(piece)


def _length(chunks: Chunks, digests: Sequence[bytes], nbytes: int | None) -> int:
    """What the chunks are long together.

    Args:
        chunks: All that there are.
        digests: Which.
        nbytes: What they have to be; no memory is asked for on a mere promise.
    """
    found = (chunks.place(digest) for digest in digests)
    there = sum(placed.header.raw_bytes for placed in found if placed is not None)
    if nbytes is None:
        return there
    if there < nbytes and (lost := [d for d in digests if d not in chunks]):
        raise ChunkLost(f"chunk {lost[0].hex()[:16]} is in no segment")
    if there != nbytes:
        raise ChunkLost("its chunks are not as long as it")
    return nbytes


class _Files:
    """Segments that are open, by path; each is opened once."""

    def __init__(self) -> None:
        self.by_path: dict[Path, int] = {}

    def fd(self, path: Path) -> int:
        """The open file."""
        if path not in self.by_path:
            self.by_path[path] = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        return self.by_path[path]


@contextmanager
def _files() -> Iterator[_Files]:
    files = _Files()
    try:
        yield files
    finally:
        for fd in files.by_path.values():
            os.close(fd)


def _read_in_place(files: _Files, placed: Placed, piece: memoryview, *, is_code: bool) -> bool:
    """True when the piece holds the content now, proven; else it has to be read with care."""
    header = placed.header
    if header.codec != RAW or header.stored_crc is not None or not _CAN_PLACE:
        return False
    head = bytearray(header.head_bytes)
    try:
        got = os.preadv(files.fd(placed.path), [head, piece], placed.offset)
        if got != header.frame_bytes or read_header(bytes(head)) != header:
            return False
        prove(header, piece, is_code=is_code)
    except (OSError, FrameDamaged):
        return False
    return True


def _memory(nbytes: int) -> memoryview:
    if nbytes < _LARGE_BYTES or not hasattr(mmap, "MADV_HUGEPAGE"):
        return memoryview(bytearray(nbytes))
    pages = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # the kernel was built without
        pass
    return memoryview(pages)
