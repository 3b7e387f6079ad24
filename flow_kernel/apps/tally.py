"""Counts over any number of log files, read as bytes on all processors.

Called by `stats`; `tally_duckdb` gives the same counts another way.

A line counts when its checksum is right, so damage is never counted as data. After that the line is
as it was written: one regular expression reads the fields at its head, and only a line that looks
different (another order of fields, an escaped id) is parsed.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any, Final

import orjson

from flow_kernel.apps.shares import Share, blocks, spread
from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.lines import split_damaged

GroupKey = tuple[str, str, str]
"""Plan, task, and the ten minutes in UTC as `2026-11-21T14:0`; most zones are half hours apart."""

SLOWEST: Final = 5
_TAIL: Final = len(b',"crc":"01234567"}')
# Texts of fixed length (session, times, links) are skipped: twice as fast as matching them.
_HEAD: Final = re.compile(
    rb'\{"v":1,"kind":"cell","session":".{32}","seq":\d+,("plan_id":"[^"\\]*","task_id":"[^"\\]*",'
    rb'"timestamp":".{15}).{9}","prev":".{16}","success":(true|false),"status":"[^"\\]*",'
    rb'"elapsed_ms":(\d+(?:\.\d+)?),',
    re.DOTALL,
)
_KEY: Final = re.compile(rb'"plan_id":"(.*)","task_id":"(.*)","timestamp":"(.*)', re.DOTALL)
_OTHER_KIND: Final = re.compile(rb'\{"v":1,"kind":"(?!cell")\w+",')


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCell:
    """One of the slowest cells."""

    elapsed_us: int
    plan_id: str
    task_id: str
    seq: int
    code: str


@dataclass(slots=True)
class Tally:
    """What was counted.

    Attributes:
        groups: Cells, failures and microseconds of each task and ten minutes.
        failing: How often each (error, first line of code) failed.
        slowest: The slowest cells, the slowest first.
        damaged: Lines that fail their checksum.
    """

    groups: dict[GroupKey, list[int]] = field(default_factory=dict)
    failing: dict[tuple[str, str], int] = field(default_factory=dict)
    slowest: list[SlowCell] = field(default_factory=list)
    damaged: int = 0

    def add_group(self, key: GroupKey, counts: Iterable[int]) -> None:
        """Add cells, failures and microseconds to those of `key`."""
        mine = self.groups.setdefault(key, [0, 0, 0])
        mine[:] = [a + b for a, b in zip(mine, counts, strict=True)]

    def add_failure(self, error: str, code: str, count: int = 1) -> None:
        """Count `count` failures of `code` with `error`."""
        key = (error, first_line(code))
        self.failing[key] = self.failing.get(key, 0) + count

    def add(self, other: "Tally") -> None:
        """Count everything in `other` here too."""
        for key, counts in other.groups.items():
            self.add_group(key, counts)
        for (error, code), count in other.failing.items():
            self.add_failure(error, code, count)
        everyone = sorted(
            [*self.slowest, *other.slowest], key=lambda cell: cell.elapsed_us, reverse=True
        )
        self.slowest = everyone[:SLOWEST]
        self.damaged += other.damaged


def tally(paths: Sequence[Path], *, processes: int | None = None) -> Tally:
    """Count the cells of `paths`, about 2 us of one processor for each.

    Args:
        paths: Log files.
        processes: How many may work; by default one a processor, where there is much to read.

    Raises:
        OSError: A file cannot be read.
    """
    total = Tally()
    slowest: list[tuple[int, str, int]] = []
    for groups, failing, slow, damaged in spread(count, paths, processes=processes):
        for key, counts in groups:
            total.add_group(tuple(key), counts)
        for (error, code), times in failing:
            total.add_failure(error, code, times)
        slowest += [tuple(cell) for cell in slow]
        total.damaged += damaged
    total.slowest = [_slow_cell(*cell) for cell in sorted(slowest, reverse=True)[:SLOWEST]]
    return total


def count(shares: Sequence[Share]) -> list[Any]:
    """The work of one process: groups, failing, slowest (with path and offset) and damaged."""
    counting = _Counting()
    for share in shares:
        counting.share(share)
    for key, counts in counting.raw.items():
        if found := _KEY.fullmatch(key):
            plan, task, moment = (part.decode("utf-8", "replace") for part in found.groups())
            counting.tally.add_group((plan, task, moment), counts)
    tallied = counting.tally
    return [
        list(tallied.groups.items()),
        list(tallied.failing.items()),
        counting.slowest,
        tallied.damaged,
    ]


def microseconds(elapsed_ms: object) -> int:
    """A cell's time as a whole number, so that sums do not depend on their order."""
    if isinstance(elapsed_ms, int | float) and not isinstance(elapsed_ms, bool):
        return int(elapsed_ms * 1000 + 0.5)
    return 0


def first_line(code: object) -> str:
    """The first line of `code` that is not blank."""
    lines = code.splitlines() if isinstance(code, str) else []
    return next((line.strip() for line in lines if line.strip()), "")


class _Counting:
    """The counts of one process while it counts.

    Attributes:
        tally: What needed a closer look.
        raw: Counts by the bytes of plan, task and time.
        slowest: (microseconds, path, offset), a heap.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self.raw: dict[bytes, list[int]] = {}
        self.slowest: list[tuple[int, str, int]] = []

    def share(self, share: Share) -> None:
        match, crc32, raw = _HEAD.match, zlib.crc32, self.raw
        slowest_us = -1
        for offset, block, size in blocks(share):
            find, view, start = block.find, memoryview(block), 0
            while (end := find(b"\n", start, size)) >= 0:
                elapsed_us = -1
                if block[end - _TAIL : end] != b',"crc":"%08x"}' % crc32(view[start : end - _TAIL]):
                    elapsed_us = self._recover(bytes(view[start:end]))
                elif (found := match(block, start)) is None:
                    elapsed_us = self._parse(bytes(view[start:end]))
                else:
                    key, success, elapsed = found.groups()
                    elapsed_us = int(float(elapsed) * 1000 + 0.5)
                    counts = raw.get(key)
                    if counts is None:
                        counts = raw[key] = [0, 0, 0]
                    counts[0] += 1
                    counts[2] += elapsed_us
                    if success == b"false":
                        counts[1] += 1
                        self._fail(orjson.loads(view[start:end]))
                if elapsed_us > slowest_us:
                    slowest_us = self._consider((elapsed_us, share.path, offset + start))
                start = end + 1
            view.release()

    def _parse(self, line: bytes) -> int:
        """Count a line that the expression does not know; -1 when it is no cell."""
        if _OTHER_KIND.match(line):
            return -1
        try:
            return self._cell(decode(line))
        except LineDamaged:
            self.tally.damaged += 1
            return -1

    def _recover(self, line: bytes) -> int:
        """Count the whole records in a damaged line, as every reader of logs takes them."""
        slowest_us = -1
        for _, _, record, _ in split_damaged(line, ""):
            if record is None:
                self.tally.damaged += 1
            else:
                slowest_us = max(slowest_us, self._cell(record))
        return slowest_us

    def _cell(self, record: dict[str, object]) -> int:
        if record.get("kind") != "cell":
            return -1
        elapsed_us = microseconds(record.get("elapsed_ms"))
        failed = record.get("success") is False
        moment = _text(record, "timestamp")[:15]
        key = (_text(record, "plan_id"), _text(record, "task_id"), moment)
        self.tally.add_group(key, (1, int(failed), elapsed_us))
        if failed:
            self._fail(record)
        return elapsed_us

    def _fail(self, record: dict[str, object]) -> None:
        error = record.get("error")
        name = _text(error, "ename") if isinstance(error, dict) else ""
        self.tally.add_failure(name, _text(record, "code"))

    def _consider(self, cell: tuple[int, str, int]) -> int:
        """Keep `cell` if it is one of the slowest; returns what a cell must exceed to be kept."""
        if len(self.slowest) < SLOWEST:
            heappush(self.slowest, cell)
        else:
            heappushpop(self.slowest, cell)
        return self.slowest[0][0] if len(self.slowest) == SLOWEST else -1


def _slow_cell(elapsed_us: int, path: str, offset: int) -> SlowCell:
    with Path(path).open("rb") as file:
        file.seek(offset)
        line = file.readline().rstrip(b"\n")
    # A damaged line may hold several whole records.
    pieces = (piece.record for piece in split_damaged(line, ""))
    record = next((r for r in pieces if r and microseconds(r.get("elapsed_ms")) == elapsed_us), {})
    seq = record.get("seq")
    return SlowCell(
        elapsed_us=elapsed_us,
        plan_id=_text(record, "plan_id"),
        task_id=_text(record, "task_id"),
        seq=seq if isinstance(seq, int) else 0,
        code=first_line(record.get("code")),
    )


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""
