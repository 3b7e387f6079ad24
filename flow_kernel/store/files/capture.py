"""Reads files into chunks, each only when it may have changed since it was read before.

Called by `store.files.snapshots`.

A file whose stamp (times, size, inode) is the one noted then has the same content, with two
exceptions, in which it is read again: it changed less than two seconds before it was read, because
file systems count time in steps of up to that; or this process can write to it through memory,
which no stamp shows.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.store.files.entries import Kept, Stamp, kept_mode
from flow_kernel.store.files.opened import OpenFiles
from flow_kernel.store.files.parts import cut
from flow_kernel.store.files.rules import Found
from flow_kernel.store.git.rules import LeftOut
from flow_kernel.store.snapshots.writer import Writer

_SETTLED_NS: Final = 2_000_000_000
_TRIES: Final = 2


@dataclass(frozen=True, slots=True)
class Known:
    """A file that was read, and all chunks that it needs."""

    kept: Kept
    digests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Captured:
    """What became of some files."""

    known: dict[str, Known]
    left_out: list[LeftOut]


def capture(
    root: Path,
    found: Iterable[Found],
    writer: Writer,
    *,
    known: Mapping[str, Known],
    is_there: Callable[[bytes], bool] | None,
    now_ns: Callable[[], int] = time.time_ns,
) -> Captured:
    """Bring files into chunks.

    Args:
        root: What their paths lie below.
        found: Each path once.
        writer: Takes the chunks.
        known: What was read before.
        is_there: True for chunks that need not be written again; None when none has to be.
        now_ns: The time that stamps are compared with.

    Raises:
        StoreError: The chunks cannot be written.
    """
    mapped, opened = _mapped(), OpenFiles()
    done = Captured({}, [])
    for one in found:
        before = known.get(one.path)
        if before is not None and _is_unchanged(before, one, mapped, is_there):
            done.known[one.path] = before
            continue
        made = _read(root, one, writer, opened, mapped=mapped, now_ns=now_ns)
        if isinstance(made, Known):
            done.known[one.path] = made
        elif made is not None:
            done.left_out.append(made)
    return done


def _is_unchanged(
    before: Known, one: Found, mapped: frozenset[int], is_there: Callable[[bytes], bool] | None
) -> bool:
    kept = before.kept
    return (
        kept.is_settled
        and kept.stamp == Stamp.of(one.stat)
        and kept.mode == kept_mode(one.stat)
        and one.stat.st_ino not in mapped
        and (is_there is None or all(map(is_there, before.digests)))
    )


def _read(
    root: Path,
    one: Found,
    writer: Writer,
    opened: OpenFiles,
    *,
    mapped: frozenset[int],
    now_ns: Callable[[], int],
) -> Known | LeftOut | None:
    """One file as it is now; None when it is gone."""
    where = f"{root}/{one.path}"
    try:
        if stat.S_ISLNK(one.stat.st_mode):
            return Known(Kept(path=one.path, target=link_target(where)), ())
        for _ in range(_TRIES):
            made = _read_once(where, one, writer, opened, mapped=mapped, now_ns=now_ns)
            if made is not None:
                return made
    except StoreError:
        raise  # of the writer; it is an OSError, too
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "unreadable" if isinstance(error, PermissionError) else error.strerror
        return LeftOut(path=one.path, reason=reason or "unreadable", size=one.stat.st_size)
    return LeftOut(path=one.path, reason="changed while it was read", size=one.stat.st_size)


def _read_once(
    where: str,
    one: Found,
    writer: Writer,
    opened: OpenFiles,
    *,
    mapped: frozenset[int],
    now_ns: Callable[[], int],
) -> Known | LeftOut | None:
    """One file as it is now; None when it changed meanwhile."""
    began_ns = now_ns()
    try:
        with opened.reading(where, one.stat, follows_links=False) as (fd, before):
            if not stat.S_ISREG(before.st_mode):
                return LeftOut(path=one.path, reason="special file", size=before.st_size)
            made = cut(fd, before.st_size, writer)
            if made is None or Stamp.of(os.fstat(fd)) != Stamp.of(before):
                return None
    except OSError as error:
        if error.errno == errno.EBADF:  # it was read where a cell had it open
            return None
        raise
    part, digests = made
    kept = Kept(
        path=one.path,
        mode=kept_mode(before),
        part=part,
        stamp=Stamp.of(before),
        is_settled=before.st_ctime_ns < began_ns - _SETTLED_NS and before.st_ino not in mapped,
    )
    return Known(kept, digests)


def link_target(where: str) -> str:
    """Where a link points, letter by letter."""
    return os.readlink(where)  # noqa: PTH115 - a Path drops the dots and slashes in it


def _mapped() -> frozenset[int]:
    """Inodes of files that this process can write to through memory."""
    try:
        lines = Path("/proc/self/maps").read_bytes().splitlines()
    except OSError:
        return frozenset()
    fields = (line.split(None, 5) for line in lines)
    return frozenset(int(one[4]) for one in fields if one[1].startswith(b"rw-s"))
