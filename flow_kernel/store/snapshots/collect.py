"""Throws away the chunks that no checkpoint needs.

Called by `session.checkpoints.pruning`.

A segment that holds little that is needed is copied and deleted. Writers hold the lock of the
directory shared while their chunks are named by no manifest yet; collecting needs it alone, does
nothing when it cannot have it, and asks what is needed only once it has: a checkpoint that was
acknowledged meanwhile is among that.
"""

import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.records.locks import EXCLUSIVE, SHARED, flock, lock
from flow_kernel.store import forks
from flow_kernel.store.snapshots.copying import FrameCopier
from flow_kernel.store.snapshots.files import SUFFIX
from flow_kernel.store.snapshots.frame import FrameDamaged
from flow_kernel.store.snapshots.segments import Chunks, Placed

_LOCK: Final = "lock"
_ALONE_WAIT_S: Final = 2.0
_SHARED_WAIT_S: Final = 10.0
_MOST_S: Final = 3.0
"""Collecting stops after that, and goes on at the next occasion: writers wait for it."""
WORTH: Final = 0.5
"""A segment is copied when less than this part of it is needed."""


@contextmanager
def held(where: Path, *, is_alone: bool) -> Iterator[bool]:
    """The lock of a directory of segments; False where there is none to be had.

    Args:
        where: The directory; made when it is not there.
        is_alone: True for whoever deletes, False for whoever writes.

    Raises:
        StoreError: The disk refuses; or somebody deletes and does not come to an end, so nobody
            may write.
    """
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(where / _LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(f"{where} cannot be written: {reason}") from error
    forks.keep_from_children(fd)
    try:
        operation = EXCLUSIVE if is_alone else SHARED
        is_held = lock(fd, _ALONE_WAIT_S if is_alone else _SHARED_WAIT_S, operation=operation)
        if not is_held and not is_alone and _is_taken(fd, operation):
            raise StoreError(f"{where} cannot be written: another process is tidying it up")
        yield is_held
    finally:
        forks.close(fd)


def collect(
    where: Path,
    needed: Callable[[], Collection[bytes]],
    *,
    worth: float = WORTH,
    most_s: float = _MOST_S,
) -> int:
    """Delete what is not needed. Returns the bytes that were freed.

    Args:
        where: The directory of segments.
        needed: Says which chunks are; asked under the lock.
        worth: A segment is copied when less than this part of it is needed.
        most_s: When to stop; the rest is done the next time.

    Raises:
        StoreError: `needed` cannot say; nothing was deleted.
    """
    with held(where, is_alone=True) as is_held:
        if not is_held:
            return 0
        until = time.monotonic() + most_s
        live = needed()
        chunks = Chunks(where)
        chunks.refresh()
        before = _sizes(where)
        by_path: dict[Path, list[Placed]] = {path: [] for path in before}
        # Each place counts: only one of two may hold what it says.
        for placed in (again for digest in live for again in chunks.places(digest)):
            if placed.path in by_path:
                by_path[placed.path].append(placed)
        copier = FrameCopier(where)
        try:
            for path in _emptiest_first(by_path, before, worth):
                if time.monotonic() > until:
                    break
                _move(copier, by_path[path], path)
        finally:
            copier.close()
        return sum(before.values()) - sum(_sizes(where).values())


def _emptiest_first(
    by_path: dict[Path, list[Placed]], sizes: dict[Path, int], worth: float
) -> list[Path]:
    """Segments of which too little is needed, those of which nothing is before the others."""
    parts = {
        path: sum(placed.header.frame_bytes for placed in live) / (sizes[path] or 1)
        for path, live in by_path.items()
    }
    return sorted((path for path in parts if parts[path] < worth), key=lambda path: parts[path])


def _move(copier: FrameCopier, live: list[Placed], path: Path) -> None:
    """Delete a segment once what is needed of it is on the disk elsewhere."""
    try:
        for placed in live:
            copier.add(placed)
        copier.sync()
    except (OSError, FrameDamaged):  # a full disk, or damage: the segment stays as it is
        copier.close()
        return
    path.unlink(missing_ok=True)


def _is_taken(fd: int, operation: int) -> bool:
    """True when another process has the lock; False where the file system knows no locks."""
    try:
        flock(fd, operation)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _sizes(where: Path) -> dict[Path, int]:
    found = {}
    for path in where.glob(f"*{SUFFIX}"):
        with suppress(FileNotFoundError):
            found[path] = path.stat().st_size
    return found
