"""Finds the files below a directory that no git looks after.

Called by `store.files.snapshots`. Links are files here, and nothing behind them is looked at.
"""

import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from flow_kernel.errors import StoreError
from flow_kernel.store.files.rules import (
    Budget,
    Found,
    can_be_made_anew,
    is_bare,
    is_home,
    is_repository,
    is_skipped,
)
from flow_kernel.store.git.rules import LeftOut


@dataclass(slots=True)
class Walked:
    """What lies below a directory."""

    found: list[Found] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def walk(root: Path, budget: Budget) -> Walked:
    """Look at each file below a directory.

    Args:
        root: The directory.
        budget: How many are looked at, and how long.

    Raises:
        StoreError: It cannot be read, it is git's own, or there are too many files.
    """
    deadline_s = time.monotonic() + budget.walk_s
    walked = Walked()
    todo = [""]
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(root / folder) as entries:
                inside = list(entries)
        except OSError as error:
            if not folder:
                raise StoreError(f"{root} cannot be read: {error.strerror or error}") from None
            if not isinstance(error, FileNotFoundError):
                walked.left_out.append(LeftOut(path=f"{folder}/", reason="unreadable"))
            continue
        names = frozenset(entry.name for entry in inside)
        if not folder and is_bare(names):
            raise StoreError("the working directory is a bare git repository")
        if folder and (can_be_made_anew(names) or is_home(names)):
            continue
        if folder and is_repository(names):
            walked.left_out.append(LeftOut(path=f"{folder}/", reason="nested repository"))
            continue
        for entry in inside:
            _sort_in(entry, f"{folder}/{entry.name}" if folder else entry.name, walked, todo)
        if len(walked.found) > budget.looked or time.monotonic() > deadline_s:
            raise StoreError(
                f"there are too many files below {root}",
                hint="git init, and .gitignore for those that need not be kept",
            )
    return walked


def _sort_in(entry: "os.DirEntry[str]", path: str, walked: Walked, todo: list[str]) -> None:
    try:
        if entry.is_dir(follow_symlinks=False):
            if not is_skipped(entry.name):
                todo.append(path)
            return
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return  # gone meanwhile
    if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
        walked.found.append(Found(path, found))
    else:
        walked.left_out.append(LeftOut(path=path, reason="special file", size=found.st_size))
