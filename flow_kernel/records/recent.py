"""The last records of one session, read from the ends of its files and no further.

Called by `session.inquiries`, while a cell may keep the main thread busy: what is read is bounded.
"""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.records.backward import lines_backward
from flow_kernel.records.codec import LineDamaged, decode

_MARK_WITHIN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """What was found.

    Attributes:
        records: Oldest first.
        is_complete: False where older ones were wanted and left out.
    """

    records: list[dict[str, object]]
    is_complete: bool


@dataclass(slots=True)
class _Budget:
    """Bytes that may still be read, of all files together."""

    left: int
    is_spent: bool = False

    def takes(self, count: int) -> bool:
        self.left -= count
        self.is_spent = self.left < 0
        return not self.is_spent


def recent_records(  # noqa: PLR0913 - each bounds the answer in its own way
    paths: Iterable[Path],
    session: str,
    *,
    after: int = 0,
    before: int | None = None,
    limit: int,
    kinds: Sequence[str] = (),
    holds: bytes = b"",
    budget_bytes: int,
) -> Recent:
    """The newest records of a session.

    Args:
        paths: Files that it has written to; rotated ones beside them are read, too.
        session: 32 hex.
        after: Only records with a higher number.
        before: Only records with a lower number.
        limit: Most records.
        kinds: Only these; all when there are none.
        holds: Only those whose line has these bytes.
        budget_bytes: Most bytes to read.
    """
    budget = _Budget(budget_bytes)
    trails = [_trail(path, session, after=after, holds=holds, budget=budget) for path in paths]
    found: list[dict[str, object]] = []
    for seq, record in heapq.merge(*trails, key=lambda each: -each[0]):
        if (before is not None and seq >= before) or (kinds and record.get("kind") not in kinds):
            continue
        if len(found) == limit:
            return Recent(records=found[::-1], is_complete=False)
        found.append(record)
    return Recent(records=found[::-1], is_complete=not budget.is_spent)


def _trail(
    path: Path, session: str, *, after: int, holds: bytes, budget: _Budget
) -> Iterator[tuple[int, dict[str, object]]]:
    """The records of the session in one task's files, newest first."""
    mark = f'"session":"{session}"'.encode()
    for file in _newest_first(path):
        for line in _lines(file):
            if not budget.takes(len(line)):
                return
            if mark not in line[:_MARK_WITHIN] or holds not in line:
                continue
            try:
                record = decode(line)
            except LineDamaged:
                continue
            seq = record.get("seq")
            if type(seq) is not int or record.get("session") != session:
                continue
            if seq <= after:
                return
            yield seq, record


def _lines(path: Path) -> Iterator[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        yield from lines_backward(fd)
    finally:
        os.close(fd)


def _newest_first(path: Path) -> list[Path]:
    """The file and what was rotated out of it."""
    stem = path.name.removesuffix(".jsonl")
    numbers = [
        int(number)
        for other in path.parent.glob(f"{stem}.*.jsonl")
        if (number := other.name[len(stem) + 1 : -len(".jsonl")]).isdigit()
    ]
    return [path, *(path.with_name(f"{stem}.{n}.jsonl") for n in sorted(numbers, reverse=True))]
