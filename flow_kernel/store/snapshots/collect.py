"""Throws away the chunks that no checkpoint needs.

Called by `session.checkpoints.service`.

Segments never change, so a segment that holds little that is needed is copied and deleted. Writers
hold the lock of the directory shared while their chunks are named by no manifest yet; collecting
needs it alone, and does nothing when it cannot have it.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flow_kernel.records.locks import EXCLUSIVE, SHARED, lock
from flow_kernel.store.snapshots.segments import Chunks, Placed
from flow_kernel.store.snapshots.writer import ChunkWriter

_LOCK: Final = "lock"
_WAIT_S: Final = 2.0
_WORTH: Final = 0.5
"""A segment is copied when less than this part of it is needed."""


@contextmanager
def held(where: Path, *, is_alone: bool) -> Iterator[bool]:
    """The lock of a directory of segments; False when another process keeps it."""
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(where / _LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        yield lock(fd, _WAIT_S, operation=EXCLUSIVE if is_alone else SHARED)
    finally:
        os.close(fd)


def collect(where: Path, needed: Collection[bytes]) -> int:
    """Delete what is not needed. Returns the bytes that were freed."""
    with held(where, is_alone=True) as is_held:
        if not is_held:
            return 0
        before = _size(where)
        chunks = Chunks(where)
        chunks.refresh()
        by_path: dict[Path, list[Placed]] = {path: [] for path in where.glob("*.seg")}
        for placed in chunks:
            if placed.header.digest in needed:
                by_path[placed.path].append(placed)
        for path, live in by_path.items():
            live_bytes = sum(placed.header.stored_bytes for placed in live)
            if live and live_bytes >= _WORTH * path.stat().st_size:
                continue
            if live:
                _copy(where, chunks, live)
            path.unlink(missing_ok=True)
        return before - _size(where)


def _copy(where: Path, chunks: Chunks, live: list[Placed]) -> None:
    writer = ChunkWriter(where, Chunks(where), owner="kept")
    try:
        for placed in live:
            writer.put(chunks.read(placed.header.digest))
        writer.sync()
    finally:
        writer.close()


def _size(where: Path) -> int:
    return sum(path.stat().st_size for path in where.glob("*.seg"))
