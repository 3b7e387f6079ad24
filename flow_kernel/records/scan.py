"""Reading log files line by line, damage included.

Called by the command line, `session.history`, `repair` and `prune`.

A damaged line costs itself and no other: reading goes on at the next newline, and where the newline
itself is damaged, at the next record in the same line. Readers need no lock; they see whole lines
and perhaps the beginning of one that is being written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flow_kernel.errors import NotFound
from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.lines import TORN, open_log, raw_lines, split_damaged
from flow_kernel.records.verdict import Damage, Gap, Verdict, verify, verify_home

__all__ = [
    "Damage",
    "Gap",
    "Line",
    "Verdict",
    "read_records",
    "scan_file",
    "scan_open",
    "verify",
    "verify_home",
]


@dataclass(slots=True)
class Line:
    """One record of a file, or bytes of it that are none.

    Attributes:
        file: Where it stands.
        line: Its number, from 1.
        offset: Of its first byte.
        record: The record, or None where the bytes are damaged.
        raw: The bytes, without the newline.
        reason: Why they are no record; None where they are.
    """

    file: Path
    line: int
    offset: int
    record: dict[str, object] | None
    raw: bytes
    reason: str | None


def scan_file(path: Path, *, offset: int = 0) -> Iterator[Line]:
    """Every line of a log file that is not empty.

    Memory: one block of 1 MiB and the longest line.

    Args:
        path: A log file; it may grow meanwhile.
        offset: Where to begin: the start of a line, whose number is then 1.

    Yields:
        The lines in the order of the file. A last line without a newline is a Line like any other:
        undamaged where it is whole, else with the reason `torn` (or it is just being written).

    Raises:
        NotFound: There is no such file.
        StoreError: It cannot be read.
    """
    with open_log(path) as file:
        yield from scan_open(file, path, offset=offset)


def scan_open(
    file: BinaryIO, path: Path, *, offset: int = 0, end: int | None = None
) -> Iterator[Line]:
    """As `scan_file`, for a file that is open already, up to the byte `end`."""
    for number, (start, raw, is_whole) in enumerate(raw_lines(file, offset, end), 1):
        if not raw:
            continue
        try:
            found = Line(path, number, start, decode(raw), raw, None)
        except LineDamaged as error:
            pieces = split_damaged(raw, str(error) if is_whole else TORN)
        else:
            yield found
            continue
        for at, piece, record, reason in pieces:
            yield Line(path, number, start + at, record, piece, reason)


def read_records(paths: Iterable[Path]) -> Iterator[dict[str, object]]:
    """The undamaged records of the files, in their order.

    A file that has gone meanwhile (rotated, pruned) is passed over.

    Raises:
        StoreError: A file cannot be read.
    """
    for path in paths:
        try:
            file = open_log(path)
        except NotFound:
            continue
        with file:
            for _, raw, _ in raw_lines(file, 0):
                try:
                    yield decode(raw)
                except LineDamaged:
                    for piece in split_damaged(raw, ""):
                        if piece.record is not None:
                            yield piece.record
