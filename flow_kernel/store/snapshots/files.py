"""Names of segments, and writing that survives a power loss.

Called by `segments`, `writer`, `collect`, `salvage` and `manifests`.
"""

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from flow_kernel.store.snapshots.fast import Content

SUFFIX: Final = ".seg"
_TOKEN_BYTES: Final = 4
_NAME: Final = re.compile(r"(?P<owner>.+)-(?P<number>\d{6,})-[0-9a-f]{8}\.seg")


def newest_of(paths: Iterable[Path], owner: str) -> Path | None:
    """The file that a writer has begun last."""
    numbered = {_number(path, owner): path for path in paths}
    numbered.pop(0, None)
    return numbered[max(numbered)] if numbered else None


def next_segment(where: Path, owner: str) -> Path:
    """A file name that nobody has or ever had; to be made with O_EXCL.

    A name that was given twice would lead a process astray that still knows the first file.
    """
    newest = newest_of(where.glob(f"{owner}-*{SUFFIX}"), owner)
    number = 1 + (0 if newest is None else _number(newest, owner))
    return where / f"{owner}-{number:06d}-{secrets.token_hex(_TOKEN_BYTES)}{SUFFIX}"


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
    found = _NAME.fullmatch(path.name)
    return int(found["number"]) if found is not None and found["owner"] == owner else 0
