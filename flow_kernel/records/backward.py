"""The lines of a log file from its end.

Called by `logfile` to find a session's last line, by `recent` and by the pages of the dashboard,
without reading the whole file.
"""

import os
from collections.abc import Iterator
from typing import Final

from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_BLOCK_BYTES: Final = 256 * 1024
_lseek: Final = os.lseek
_read: Final = os.read
_SEEK_END: Final = os.SEEK_END
_SEEK_SET: Final = os.SEEK_SET


def lines_backward(fd: int) -> Iterator[bytes]:
    """The lines without their newlines, last one first; empty ones are left out.

    Holds one block and one line in memory. Moves the file offset of `fd`.
    """
    for _, line in numbered_backward(fd, _lseek(fd, 0, _SEEK_END)):
        yield line


def numbered_backward(fd: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Where each line begins, and the line; see `lines_backward`.

    Args:
        fd: Of the file.
        end: Only what is before this offset, which is the begin of a line or the end of the file.
    """
    # Pieces of the line whose start has not been reached yet, last piece first.
    pieces: list[bytes] = []
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        block = _read_at(fd, start, end - start)
        lines = block.split(b"\n")
        pieces.append(lines.pop())
        begin = end - len(pieces[-1])
        while lines:
            if whole := b"".join(reversed(pieces)):
                yield begin, whole
            pieces = [lines.pop()]
            begin -= len(pieces[0]) + 1
        end = start
    if whole := b"".join(reversed(pieces)):
        yield 0, whole


def last_line_of(fd: int, session: str) -> bytes | None:
    """The last undamaged line that `session` wrote to the file; None when there is none."""
    mark = b'"session":"%b"' % session.encode()
    for line in lines_backward(fd):
        if mark in line[:200]:
            try:
                if decode(line).get("session") == session:
                    return line
            except LineDamaged:
                continue
    return None


def _read_at(fd: int, start: int, count: int) -> bytes:
    _lseek(fd, start, _SEEK_SET)
    block = _read(fd, count)
    while len(block) < count and (more := _read(fd, count - len(block))):
        block += more
    return block
