"""Pages of the log of a home, newest record first, each read from where the last one ended.

Called by the handlers of records and of tasks.

Files are read backward in batches. One that was last written before the oldest record of a page is
not opened at all: its name and time are looked at, no more. A cursor says for each file that was
opened how far it was read, by inode, and how old the last record of the page is: rotation and new
records change nothing about the page that follows.
"""

import heapq
import mmap
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from flow_kernel.apps.sources import Filter
from flow_kernel.errors import NotFound, UsageError
from flow_kernel.records.backward import numbered_backward
from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.home import Home

BUDGET_BYTES: Final = 24 * 2**20
"""Read for one page: a search that finds nothing answers within half a second."""
_FIRST_BATCH: Final = 32
_MOST_BATCH: Final = 2048
_HEAD_BYTES: Final = 700
_STAMP: Final = re.compile(rb'"timestamp":"([^"\\]{20,32})"')
_REVERSED: Final = str.maketrans("0123456789", "9876543210")
_CURSOR: Final = re.compile(
    r"(?P<until>[0-9TZ:.-]{1,32})~(?P<files>[0-9a-f]{1,16}\.[0-9a-f]{1,12}(?:-[0-9a-f]{1,16}\.[0-9a-f]{1,12})*)\Z"
)
_NEVER: Final = "9"

Record = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records a page shows.

    Attributes:
        where: Their plan and task.
        kinds: Their kinds; empty for all.
        may_match: False for a line that cannot be meant, judged without reading it.
        matches: True for a record that is meant.
    """

    where: Filter = field(default_factory=Filter)
    kinds: frozenset[str] = frozenset()
    may_match: Callable[[bytes], bool] = lambda _: True
    matches: Callable[[Record], bool] = lambda _: True


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What was found.

    Attributes:
        records: Newest first.
        cursor: Where the next page begins; None where there is none.
        is_cut: True where the budget ended before the page was full.
        until: The time of the oldest line that was looked at; empty where there was none.
        left_bytes: Of the files, those that pages to come would read.
        total_bytes: Of the files, all.
    """

    records: list[Record]
    cursor: str | None
    is_cut: bool
    until: str
    left_bytes: int
    total_bytes: int


@dataclass(slots=True)
class _File:
    """One file, and how far it was read backward."""

    path: Path
    inode: int
    end: int
    batch: int = _FIRST_BATCH
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    stamp: str = _NEVER

    def take(self) -> tuple[str, int, bytes] | None:
        """The line before the one that was taken last; None at the begin of the file."""
        if not self.lines and self.end:
            self.lines = self._before()
        if not self.lines:
            self.end = 0
            return None
        begin, line = self.lines.pop()
        found = _STAMP.search(line, 0, _HEAD_BYTES)
        if found is not None:  # else as the one after it
            self.stamp = found[1].decode("ascii", "replace")
        return self.stamp, begin, line

    def _before(self) -> list[tuple[int, bytes]]:
        try:
            fd = os.open(self.path, os.O_RDONLY)
        except OSError:  # pruned meanwhile
            return []
        try:
            if os.fstat(fd).st_ino != self.inode:
                return []
            found = [*islice(numbered_backward(fd, self.end), self.batch)]
        finally:
            os.close(fd)
        self.batch = min(self.batch * 2, _MOST_BATCH)
        return found[::-1]


def page_of(home: Home, wanted: Wanted, *, limit: int, cursor: str = "") -> Page:
    """One page.

    Args:
        home: Whose log.
        wanted: Which records.
        limit: How many.
        cursor: Of the page before.

    Raises:
        UsageError: The cursor is none.
    """
    until, known = _parsed(cursor)
    reading = _Reading(home, wanted, known, until)
    records: list[Record] = []
    left = BUDGET_BYTES
    for line in reading.lines():
        left -= len(line)
        record = _meant(line, wanted)
        if record is not None:
            records.append(record)
        if len(records) >= limit or left < 0:
            break
    return Page(
        records=records,
        cursor=reading.cursor(),
        is_cut=left < 0 and len(records) < limit,
        until=reading.until,
        left_bytes=reading.left_bytes,
        total_bytes=reading.total_bytes,
    )


class _Reading:
    """The lines of several files, merged by their times, newest first."""

    def __init__(self, home: Home, wanted: Wanted, known: dict[int, int], until: str) -> None:
        self._known = known
        self._newest = until
        self._opened: dict[int, _File] = {}
        self._heap: list[tuple[str, int, int, bytes]] = []
        self.until = ""
        self.total_bytes = 0
        self._later: list[tuple[str, _File]] = []
        for path in home.log_files():
            if wanted.where.wants_file(path):
                self._find(path)
        # The one that was written last is at the end.
        self._later.sort(key=lambda pair: pair[0])

    def lines(self) -> Iterator[bytes]:
        while True:
            self._open_what_may_be_newer()
            if not self._heap:
                return
            stamp, inode, begin, line = heapq.heappop(self._heap)
            file = self._opened[inode]
            file.end = begin
            self._push(file)
            at = stamp.translate(_REVERSED)
            if inode in self._known or at <= self._newest:  # else written since the first page
                self.until = at
                yield line

    def cursor(self) -> str | None:
        """Where the next page begins."""
        ends = {inode: file.end for inode, file in self._opened.items()}
        if not self._later and not any(ends.values()):
            return None
        until = min(self.until or _NEVER, self._newest)
        return f"{until}~{'-'.join(f'{inode:x}.{end:x}' for inode, end in ends.items())}"

    @property
    def left_bytes(self) -> int:
        """What nobody has looked at yet."""
        return sum(file.end for file in (*self._opened.values(), *(f for _, f in self._later)))

    def _find(self, path: Path) -> None:
        try:
            facts = path.stat()
        except OSError:
            return
        self.total_bytes += facts.st_size
        end = self._known.get(facts.st_ino)
        file = _File(path, facts.st_ino, facts.st_size if end is None else min(end, facts.st_size))
        if end is not None:
            self._opened[file.inode] = file
            self._push(file)
        elif facts.st_size:
            written = datetime.fromtimestamp(facts.st_mtime + 1, UTC)
            self._later.append((f"{written:%Y-%m-%dT%H:%M:%S}.999Z", file))

    def _open_what_may_be_newer(self) -> None:
        while self._later and (
            not self._heap or self._later[-1][0] >= self._heap[0][0].translate(_REVERSED)
        ):
            _, file = self._later.pop()
            self._opened[file.inode] = file
            self._push(file)

    def _push(self, file: _File) -> None:
        taken = file.take()
        if taken is not None:
            stamp, begin, line = taken
            heapq.heappush(self._heap, (stamp.translate(_REVERSED), file.inode, begin, line))


def find_record(home: Home, where: Filter, *, session: str, seq: int) -> Record:
    """One record of a task.

    Raises:
        NotFound: There is none of that number.
    """
    mark = b'"session":"%b","seq":%d,' % (session.encode(), seq)
    for path in reversed(home.log_files()):
        if not where.wants_file(path):
            continue
        for line in _lines_with(path, mark):
            try:
                record = decode(line)
            except LineDamaged:
                continue
            if record.get("session") == session and record.get("seq") == seq:
                return record
    raise NotFound(f"there is no record {seq} of session {session[:8]} in that task")


def _lines_with(path: Path, mark: bytes) -> Iterator[bytes]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
            at = held.rfind(mark)
            while at >= 0:
                begin = held.rfind(b"\n", 0, at) + 1
                end = held.find(b"\n", at)
                yield held[begin : end if end >= 0 else len(held)]
                at = held.rfind(mark, 0, begin)
    except (OSError, ValueError):  # pruned meanwhile, or empty
        return


def _meant(line: bytes, wanted: Wanted) -> Record | None:
    if not wanted.may_match(line):
        return None
    try:
        record = decode(line)
    except LineDamaged:
        return None
    if wanted.kinds and record.get("kind") not in wanted.kinds:
        return None
    return record if wanted.where.wants(record) and wanted.matches(record) else None


def _parsed(cursor: str) -> tuple[str, dict[int, int]]:
    """How old the last record was, and how far files were read."""
    if not cursor:
        return _NEVER, {}
    found = _CURSOR.match(cursor)
    if found is None:
        raise UsageError(f"{cursor[:40]!r} is no cursor")
    pairs = (part.split(".") for part in found["files"].split("-"))
    return found["until"], {int(inode, 16): int(end, 16) for inode, end in pairs}
