"""What the processes of a worker use now.

Called by the watchdog several times a second, and by whoever shows workers.

One look reads a few small files for each process of the tree and nothing for any other: a pass over
all of /proc costs two hundred times as much as a tree of one on a machine of 300 processes.

Memory. Forks share the pages that neither has written since; the sums that the system keeps count
them in each. `Usage.rss_bytes` counts files and shared memory once and private pages in each, so it
is an upper bound; `footprint` counts each page once, at a price. Before a tree of several is called
too large, ask it.

Source: proc_pid_stat(5), proc_pid_statm(5), proc_pid_smaps(5).
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from flow_kernel.workers.sweep import HAS_PROC, carries, children, descendants, tagged

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_search_high_water: Final = re.compile(rb"^VmHWM:\s*(\d+) kB", re.MULTILINE).search
_search_share: Final = re.compile(rb"^Pss:\s*(\d+) kB", re.MULTILINE).search


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a tree of processes uses.

    Attributes:
        rss_bytes: Resident memory, an upper bound for a tree of several.
        peak_rss_bytes: The most that was ever resident in the root alone.
        cpu_s: CPU time of all, and of the children that they have waited for. It falls when one
            ends that nobody waits for.
        processes: How many, zombies too: they hold a pid.
        pids: Which, the root first.
    """

    rss_bytes: int
    peak_rss_bytes: int | None
    cpu_s: float
    processes: int
    pids: tuple[int, ...]

    def beyond(self, rss_bytes: int) -> "Usage":
        """The same for a root that has so much memory of another one's."""
        return replace(self, rss_bytes=max(0, self.rss_bytes - rss_bytes)) if rss_bytes else self


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """One process of a tree."""

    parent: int
    is_zombie: bool
    ticks: int
    private_bytes: int
    shared_bytes: int


def look(root_pid: int, tag: str | None = None) -> Usage | None:
    """What the tree of `root_pid` uses now; about 25 us for one process, 15 us for each more.

    Args:
        root_pid: The worker.
        tag: Its own tag, which no other worker carries; then processes that left the tree by a
            double fork count too. That costs about 7 us for each child of each of its ancestors.

    Returns:
        None when there is no such process any more (a zombie counts as none).
    """
    if not HAS_PROC:
        return _look_by_psutil(root_pid, tag)
    root = _member(root_pid)
    if root is None or root.is_zombie:
        return None
    pids = [root_pid, *descendants(root_pid)]
    if tag:
        pids += _strays(root_pid, tag, set(pids))
    members = {root_pid: root}
    for pid in pids[1:]:
        member = _member(pid)
        if member is not None:
            members[pid] = member
    return Usage(
        rss_bytes=sum(member.private_bytes for member in members.values())
        + max(member.shared_bytes for member in members.values()),
        peak_rss_bytes=_kilobytes(f"/proc/{root_pid}/status", _search_high_water),
        cpu_s=sum(member.ticks for member in members.values()) / _TICKS_A_SECOND,
        processes=len(members),
        pids=tuple(members),
    )


def look_alone(pid: int) -> Usage | None:
    """What one process uses now, without what it has started."""
    if not HAS_PROC:
        return None
    member = _member(pid)
    if member is None or member.is_zombie:
        return None
    return Usage(
        rss_bytes=member.private_bytes + member.shared_bytes,
        peak_rss_bytes=None,
        cpu_s=member.ticks / _TICKS_A_SECOND,
        processes=1,
        pids=(pid,),
    )


def footprint(pids: Iterable[int]) -> int | None:
    """Resident bytes of these processes, a page that n processes share counted 1/n in each.

    What they share with others that are not asked for counts in part: a fork of a large session is
    charged only for its share. 0.1 ms for a small process; the system walks the page table, which
    takes 13 ms for each GB in small pages, and the process cannot map memory meanwhile.

    Returns:
        None where the system does not say, for none of them.
    """
    shares = [_kilobytes(f"/proc/{pid}/smaps_rollup", _search_share) for pid in pids]
    known = [share for share in shares if share is not None]
    return sum(known) if known else None


def _strays(root_pid: int, tag: str, known: set[int]) -> Iterator[int]:
    """Those with the tag that somebody above the root has adopted, and what is below them.

    The system gives an orphan to the next subreaper above it, or to init: a process above the root.
    """
    lineage = _ancestors(root_pid)
    known |= {root_pid, *lineage}
    for ancestor in lineage:
        for pid in children(ancestor):
            if pid not in known and carries(pid, tag):
                family = [pid, *descendants(pid)]
                yield from (member for member in family if member not in known)
                known.update(family)


def _ancestors(pid: int) -> list[int]:
    found: list[int] = []
    member = _member(pid)
    while member is not None and member.parent > 0 and member.parent not in found:
        found.append(member.parent)
        member = _member(member.parent)
    return found


def _member(pid: int) -> _Member | None:
    try:
        stat = _read(f"/proc/{pid}/stat")
        pages = _read(f"/proc/{pid}/statm").split()
        fields = stat[stat.rfind(b")") + 2 :].split()
        resident, shared = int(pages[1]), int(pages[2])
        return _Member(
            parent=int(fields[1]),
            is_zombie=fields[0] in (b"Z", b"X"),
            ticks=sum(map(int, fields[11:15])),
            private_bytes=max(0, resident - shared) * _PAGE_BYTES,
            shared_bytes=shared * _PAGE_BYTES,
        )
    except (OSError, ValueError, IndexError):
        return None


def _kilobytes(path: str, search: Callable[[bytes], re.Match[bytes] | None]) -> int | None:
    try:
        found = search(_read(path))
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _read(path: str) -> bytes:
    # Path.read_bytes takes three times as long.
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def _look_by_psutil(root_pid: int, tag: str | None) -> Usage | None:
    import psutil  # costs 20 ms at import; only systems without /proc need it

    try:
        root = psutil.Process(root_pid)
        if root.status() == psutil.STATUS_ZOMBIE:
            return None
        memory = root.memory_info()
    except psutil.Error:
        return None
    pids = [root_pid, *descendants(root_pid)]
    if tag:
        pids += [pid for pid in tagged(tag) if pid not in pids]
    rss_bytes, cpu_s, members = 0, 0.0, []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            rss_bytes += process.memory_info().rss
            cpu_s += sum(process.cpu_times()[:4])
        except psutil.Error:
            continue
        members.append(pid)
    return Usage(
        rss_bytes=rss_bytes,
        peak_rss_bytes=getattr(memory, "peak_wset", None),
        cpu_s=cpu_s,
        processes=len(members),
        pids=tuple(members),
    )
