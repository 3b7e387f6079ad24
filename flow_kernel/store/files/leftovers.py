"""What a way back that was killed has left in the tree.

Called by `session.checkpoints.project_files` before files are looked at; `swap` makes what is found
here.

    owner alive           left alone: the directory is locked by whoever works in it
    said to hold copies   thrown away: checkpoints hold what is in it
    anything else         left where it is, and told of: files of the user were moved there
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from flow_kernel.records.locks import lock
from flow_kernel.store import forks
from flow_kernel.store.git.rules import DRAFT_SUFFIX
from flow_kernel.store.snapshots.files import sync_directory

_COPIES: Final = "copies"
"""A file in a directory that holds nothing else than copies."""


def owned(folder: Path, *, is_for_copies: bool) -> int:
    """Take possession of a directory, for as long as the process lives or until `forks.close`.

    Raises:
        OSError: The disk refuses.
    """
    fd = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    forks.keep_from_children(fd)
    lock(fd, 0)
    if is_for_copies:
        (folder / _COPIES).touch(mode=0o600)
    return fd


def takes_originals(folder: Path) -> None:
    """From now on it may hold what is nowhere else in the tree.

    Raises:
        OSError: The disk refuses.
    """
    (folder / _COPIES).unlink(missing_ok=True)
    sync_directory(folder)


def throw_away(folder: Path) -> None:
    """Nothing in it is needed any more."""
    with suppress(OSError):
        (folder / _COPIES).touch(mode=0o600)  # first: it may not come to its end
    shutil.rmtree(folder, ignore_errors=True)


def tidy(root: Path) -> list[Path]:
    """Throw away what nobody needs. Returns where there may be files of the user.

    Args:
        root: Looked into, without what is below.
    """
    return [folder for folder in _left_in(root) if not _is_thrown_away(folder)]


def _left_in(root: Path) -> Iterator[Path]:
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(".") and name.endswith(DRAFT_SUFFIX):
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        yield root / name


def _is_thrown_away(folder: Path) -> bool:
    """False for one that holds files of the user; True as well where its owner lives."""
    try:
        fd = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:  # gone meanwhile, or another user's
        return True
    try:
        if not lock(fd, 0):
            return True
        is_needed = any(folder.iterdir()) and not (folder / _COPIES).exists()
        if not is_needed:
            shutil.rmtree(folder, ignore_errors=True)
        return not is_needed
    finally:
        os.close(fd)
