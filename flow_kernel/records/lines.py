"""The lines of a log file as bytes, and what can be read out of a damaged one.

Called by `scan`, `verdict` and `repair`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.codec import LineDamaged, decode

TORN: Final = "torn"
STRAY: Final = "bytes of no record in a line with one"
_BLOCK_BYTES: Final = 1024 * 1024
_RECORD_START: Final = b'{"v":'
_RECORD_END: Final = re.compile(rb',"crc":"[0-9a-f]{8}"\}')
# Before a record inside a record, JSON has one of these; before one after torn bytes, hardly ever.
_NESTED_AFTER: Final = b":,["
_MAX_TRIES: Final = 200


class Piece(NamedTuple):
    """Part of a damaged line: a whole record, or bytes that are none and why."""

    offset: int
    raw: bytes
    record: dict[str, object] | None
    reason: str | None


def open_log(path: Path) -> BinaryIO:
    """The file, opened for reading.

    Raises:
        NotFound: There is no such file.
        StoreError: It cannot be read.
    """
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise NotFound(f"there is no log file {path}") from error
    except OSError as error:
        raise StoreError(f"cannot read {path} ({error.strerror})") from error


def raw_lines(
    file: BinaryIO, offset: int, end: int | None = None
) -> Iterator[tuple[int, bytes, bool]]:
    """Each line of a file, empty ones too: its offset, its bytes, and whether a newline follows.

    The empty line after the last newline is left out.

    Args:
        file: Opened by `open_log`.
        offset: Where to begin.
        end: Where to stop; None reads what there is, and what is written meanwhile.
    """
    file.seek(offset)
    pieces: list[bytes] = []
    start = position = offset
    while block := _read_block(file, None if end is None else end - position):
        position += len(block)
        lines = block.split(b"\n")
        if len(lines) == 1:
            pieces.append(block)
            continue
        lines[0] = b"".join([*pieces, lines[0]])
        pieces = [lines.pop()]
        for raw in lines:
            yield start, raw, True
            start += len(raw) + 1
    if last := b"".join(pieces):
        yield start, last, False


def _read_block(file: BinaryIO, limit: int | None) -> bytes:
    try:
        return file.read(_BLOCK_BYTES if limit is None else min(_BLOCK_BYTES, limit))
    except OSError as error:
        raise StoreError(f"cannot read {file.name} ({error.strerror})") from error


def split_damaged(raw: bytes, reason: str) -> list[Piece]:
    """The whole records inside a damaged line, and the bytes between them.

    Two lines become one when the newline between them is damaged, or when bytes of a torn write
    stand before a record. A record that is a value inside another one is not taken out of it.

    Args:
        raw: A line that is no record.
        reason: Why, where no part of it is one either.

    Returns:
        All bytes in their order.
    """
    pieces: list[Piece] = []
    done = tries = 0
    for end in [match.end() for match in _RECORD_END.finditer(raw)]:
        start = raw.find(_RECORD_START, done, end)
        while start >= 0 and tries < _MAX_TRIES:
            tries += 1
            record = _record_at(raw, start, end, done)
            if record is not None:
                if start > done:
                    pieces.append(Piece(done, raw[done:start], None, STRAY))
                pieces.append(Piece(start, raw[start:end], record, None))
                done = end
                break
            start = raw.find(_RECORD_START, start + 1, end)
    if done < len(raw):
        pieces.append(Piece(done, raw[done:], None, STRAY if done else reason))
    return pieces


def _record_at(raw: bytes, start: int, end: int, done: int) -> dict[str, object] | None:
    is_next_to_one = 0 < done == start - 1
    if start and not is_next_to_one and raw[start - 1] in _NESTED_AFTER:
        return None
    try:
        return decode(raw[start:end])
    except LineDamaged:
        return None
