"""Names of segments, and writing that survives a power loss.

Called by `segments`, `writer`, `collect`, `salvage` and `manifests`.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flow_kernel.store.snapshots.fast import Content

SUFFIX: Final = ".seg"


def segment_path(where: Path, owner: str, number: int) -> Path:
    """The file of a writer."""
    return where / f"{owner}-{number:06d}{SUFFIX}"


def newest_of(paths: Iterable[Path], owner: str) -> Path | None:
    """The file that a writer has begun last."""
    numbered = {_number(path, owner): path for path in paths}
    numbered.pop(0, None)
    return numbered[max(numbered)] if numbered else None


def next_segment(where: Path, owner: str) -> Path:
    """A file name that nobody has; to be made with O_EXCL."""
    newest = newest_of(where.glob(f"{owner}-*{SUFFIX}"), owner)
    return segment_path(where, owner, 1 + (0 if newest is None else _number(newest, owner)))


def write_all(fd: int, data: Content) -> None:
    """Write all bytes, however few the system takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_directory(path: Path) -> None:
    """Make new names in a directory survive a power loss; where the system can."""
    flags = getattr(os, "O_DIRECTORY", None)
    if flags is None:
        return
    fd = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Make what is in a file survive a power loss, whoever has written it."""
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _number(path: Path, owner: str) -> int:
    """0 for what is not the writer's."""
    begins, _, digits = path.stem.rpartition("-")
    return int(digits) if begins == owner and digits.isdigit() else 0
