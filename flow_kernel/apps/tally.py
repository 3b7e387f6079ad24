"""Counts over any number of log files, read as bytes, on all processors.

Called by `stats`; `tally_duckdb` gives the same counts another way.

A line counts when its checksum is right, so damage is never counted as data. After that the line is as
it was written: one regular expression reads the fields at its head, and only a line that looks
different (another order of fields, an escaped id) is parsed.
"""

import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Final

import orjson

GroupKey = tuple[str, str, str]
"""Plan, task, and the hour in UTC as `2026-11-21T14`."""

SLOWEST: Final = 5
_BLOCK_BYTES: Final = 1 << 18
_SHARE_BYTES: Final = 32 << 20
"""A process of its own is worth its start when it has this much to read."""
_TAIL: Final = len(b',"crc":"01234567"}')
_HEAD: Final = re.compile(
    rb'\{"v":\d+,"kind":"cell","session":"\w{32}","seq":\d+,"plan_id":"([^"\\]*)",'
    rb'"task_id":"([^"\\]*)","timestamp":"([^"\\]{13})[^"\\]{11}","prev":"\w{16}",'
    rb'"success":(true|false),"status":"\w+","elapsed_ms":(\d+(?:\.\d+)?),'
)
_OTHER_KIND: Final = re.compile(rb'\{"v":\d+,"kind":"(?!cell")\w+",')
_WORKER: Final = "from flow_kernel.apps.tally import serve; serve()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The lines of `path` that begin in [start, end)."""

    path: str
    start: int
    end: int


@dataclass(slots=True)
class Tally:
    """What was counted; `add` puts two together.

    Attributes:
        groups: Cells, failures and microseconds of each task and hour.
        failing: How often each (error, first line of code) failed.
        slowest: (microseconds, path, offset) of the slowest cells, a heap.
        damaged: Lines that fail their checksum.
    """

    groups: dict[GroupKey, list[int]] = field(default_factory=dict)
    failing: dict[tuple[str, str], int] = field(default_factory=dict)
    slowest: list[tuple[int, str, int]] = field(default_factory=list)
    damaged: int = 0

    def add(self, other: "Tally") -> None:
        """Count everything in `other` here too."""
        for key, counts in other.groups.items():
            mine = self.groups.setdefault(key, [0, 0, 0])
            mine[:] = [a + b for a, b in zip(mine, counts, strict=True)]
        for name, count in other.failing.items():
            self.failing[name] = self.failing.get(name, 0) + count
        for cell in other.slowest:
            self.consider(cell)
        self.damaged += other.damaged

    def consider(self, cell: tuple[int, str, int]) -> int:
        """Keep `cell` if it is one of the slowest; returns what a cell must exceed to be kept."""
        if len(self.slowest) < SLOWEST:
            heappush(self.slowest, cell)
        else:
            heappushpop(self.slowest, cell)
        return self.slowest[0][0] if len(self.slowest) == SLOWEST else -1


def tally(paths: Sequence[Path], *, processes: int | None = None) -> Tally:
    """Count the cells of `paths`, about 2 us of one processor for each.

    Args:
        paths: Log files.
        processes: How many may work; by default one for each processor, where the files are large.

    Raises:
        OSError: A file cannot be read.
    """
    sizes = [(path, path.stat().st_size) for path in paths]
    if processes is None:
        total = sum(size for _, size in sizes)
        processes = min(len(os.sched_getaffinity(0)), 1 + total // _SHARE_BYTES)
    mine, *others = _deal(sizes, processes)
    workers = [_start(shares) for shares in others]
    try:
        result = _count(mine)
        for worker, shares in zip(workers, others, strict=True):
            answer = worker.communicate()[0] if worker else b""
            # A worker that could not start or was killed: its part is counted here.
            whole = worker is not None and worker.returncode == 0
            result.add(_unpack(answer) if whole else _count(shares))
    finally:
        for worker in workers:
            if worker is not None and worker.poll() is None:
                worker.kill()
                worker.communicate()
    return result


def serve() -> None:
    """What a worker process runs: shares on stdin, their tally on stdout."""
    shares = [Share(**share) for share in orjson.loads(sys.stdin.buffer.read())]
    counted = _count(shares)
    sys.stdout.buffer.write(
        orjson.dumps(
            [list(counted.groups.items()), list(counted.failing.items()), counted.slowest,
             counted.damaged]
        )
    )  # fmt: skip


def microseconds(elapsed_ms: object) -> int:
    """A cell's time as a whole number, so that sums do not depend on their order."""
    if isinstance(elapsed_ms, int | float) and not isinstance(elapsed_ms, bool):
        return int(elapsed_ms * 1000 + 0.5)
    return 0


def first_line(code: object) -> str:
    """The first line of `code` that is not blank."""
    lines = code.splitlines() if isinstance(code, str) else []
    return next((line.strip() for line in lines if line.strip()), "")


def _deal(sizes: Iterable[tuple[Path, int]], hands: int) -> list[list[Share]]:
    """Equal parts of all files, one list for each process."""
    everything = list(sizes)
    part = -(-sum(size for _, size in everything) // hands) or 1
    dealt: list[list[Share]] = [[] for _ in range(hands)]
    position = 0
    for path, size in everything:
        start = 0
        while start < size:
            hand = position // part
            end = min(size, start + (hand + 1) * part - position)
            dealt[hand].append(Share(path=str(path), start=start, end=end))
            position += end - start
            start = end
    return dealt


def _start(shares: Sequence[Share]) -> "subprocess.Popen[bytes] | None":
    work = orjson.dumps(
        [{"path": s.path, "start": s.start, "end": s.end} for s in shares],
    )
    try:
        # -P: a file of the working directory must not stand in for a module.
        worker = subprocess.Popen(
            [sys.executable, "-P", "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None
    if worker.stdin is not None:
        try:
            worker.stdin.write(work)
            worker.stdin.close()
        except OSError:  # it died already; its exit code says so
            pass
        worker.stdin = None
    return worker


def _unpack(answer: bytes) -> Tally:
    groups, failing, slowest, damaged = orjson.loads(answer)
    return Tally(
        groups={tuple(key): counts for key, counts in groups},
        failing={tuple(key): count for key, count in failing},
        slowest=[tuple(cell) for cell in slowest],
        damaged=damaged,
    )


def _count(shares: Iterable[Share]) -> Tally:
    counted = Tally()
    raw: dict[tuple[bytes, bytes, bytes], list[int]] = {}
    for share in shares:
        _count_share(share, raw, counted)
    for (plan, task, hour), counts in raw.items():
        key = (_decode(plan), _decode(task), _decode(hour))
        counted.add(Tally(groups={key: counts}))
    return counted


def _count_share(
    share: Share, raw: dict[tuple[bytes, bytes, bytes], list[int]], counted: Tally
) -> None:
    match, crc32 = _HEAD.match, zlib.crc32
    slowest_us = -1
    for offset, block in _blocks(share):
        find, view, start = block.find, memoryview(block), 0
        while (end := find(b"\n", start)) >= 0:
            elapsed_us = -1
            if block[end - _TAIL : end] != b',"crc":"%08x"}' % crc32(view[start : end - _TAIL]):
                counted.damaged += end > start
            elif (found := match(block, start)) is None:
                elapsed_us = _count_parsed(block[start:end], counted)
            else:
                *key, success, elapsed = found.groups()
                elapsed_us = int(float(elapsed) * 1000 + 0.5)
                counts = raw.setdefault(tuple(key), [0, 0, 0])
                counts[0] += 1
                counts[2] += elapsed_us
                if success == b"false":
                    counts[1] += 1
                    _count_failure(orjson.loads(block[start:end]), counted)
            if elapsed_us > slowest_us:
                slowest_us = counted.consider((elapsed_us, share.path, offset + start))
            start = end + 1


def _count_parsed(line: bytes, counted: Tally) -> int:
    """Count a line that the expression does not know; -1 when it is no cell."""
    if _OTHER_KIND.match(line):
        return -1
    try:
        record = orjson.loads(line)
    except ValueError:
        counted.damaged += 1
        return -1
    if not isinstance(record, dict) or record.get("kind") != "cell":
        return -1
    elapsed_us = microseconds(record.get("elapsed_ms"))
    failed = record.get("success") is False
    key = (
        str(record.get("plan_id")),
        str(record.get("task_id")),
        str(record.get("timestamp"))[:13],
    )
    counted.add(Tally(groups={key: [1, int(failed), elapsed_us]}))
    if failed:
        _count_failure(record, counted)
    return elapsed_us


def _count_failure(record: dict[str, object], counted: Tally) -> None:
    error = record.get("error")
    name = str(error.get("ename")) if isinstance(error, dict) else ""
    key = (name, first_line(record.get("code")))
    counted.failing[key] = counted.failing.get(key, 0) + 1


def _blocks(share: Share) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines that begin in `share`, each with its offset in the file."""
    with open(share.path, "rb", buffering=0) as file:  # noqa: PTH123 - the path came as text
        offset = _line_start(file.fileno(), share.start)
        file.seek(offset)
        rest = b""
        while offset < share.end:
            block = file.read(_BLOCK_BYTES)
            if not block:
                if rest:
                    yield offset, rest + b"\n"
                return
            block = rest + block
            whole = block.rfind(b"\n") + 1
            wanted = share.end - offset
            if wanted <= whole:
                yield offset, block[: block.find(b"\n", wanted - 1) + 1]
                return
            yield offset, block[:whole]
            rest = block[whole:]
            offset += whole


def _line_start(fd: int, position: int) -> int:
    """The first beginning of a line at or after `position`."""
    if position == 0:
        return 0
    position -= 1
    while block := os.pread(fd, 1 << 16, position):
        found = block.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(block)
    return position


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
