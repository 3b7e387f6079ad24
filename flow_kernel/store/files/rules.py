"""What is captured of a directory that no git looks after, and how much (pure).

Called by `store.files.walk` and `store.files.snapshots`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flow_kernel.records.plain import human_bytes
from flow_kernel.store.git.rules import DRAFT_SUFFIX, LeftOut

_SKIPPED: Final = frozenset(
    [
        *(".git", ".hg", ".svn", ".jj", ".bzr", "_darcs", "CVS"),
        *(".flow", ".ipynb_checkpoints", ".ipython", ".jupyter"),
        *(".venv", ".venvs", ".tox", ".nox", ".pixi", ".conda", ".direnv", "site-packages"),
        *("node_modules", "bower_components", ".npm", ".yarn", ".pnpm-store"),
        *("__pycache__", ".hypothesis", ".eggs", ".terraform", ".gradle", ".cargo", ".rustup"),
        *(".local", ".Trash", ".Trashes", ".Spotlight-V100", ".fseventsd", "lost+found"),
    ]
)
_SKIPPED_ENDS: Final = ("cache", "caches")
_MARKS: Final = frozenset(["CACHEDIR.TAG", "pyvenv.cfg"])
"""Files that say of their directory that it can be made anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Most that one checkpoint holds in chunks of ours.

    Attributes:
        nbytes: Of all files together.
        files: How many.
        looked: Files that are looked at; where there are more, none is captured.
        walk_s: Time for looking at them.
    """

    nbytes: int
    files: int
    looked: int = 200_000
    walk_s: float = 10.0


LARGE_FILES: Final = Budget(nbytes=1_000_000_000, files=20_000)
"""For the large files of a working tree of git."""
ALL_FILES: Final = Budget(nbytes=256_000_000, files=20_000)
"""For all files of a directory without git."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file or link that could be captured."""

    path: str
    stat: os.stat_result


def is_skipped(name: str) -> bool:
    """True for a directory that is never captured: of a tool, and made anew by it."""
    is_hidden_cache = name.startswith(".") and name.lower().endswith(_SKIPPED_ENDS)
    return name in _SKIPPED or name.endswith(DRAFT_SUFFIX) or is_hidden_cache


def can_be_made_anew(names: frozenset[str]) -> bool:
    """True for a directory with such names in it: a cache, or a virtual environment."""
    return not _MARKS.isdisjoint(names)


def is_repository(names: frozenset[str]) -> bool:
    """True for a directory that is a repository of git, or of git's own files."""
    return ".git" in names or is_bare(names)


def is_home(names: frozenset[str]) -> bool:
    """True for a directory that records and checkpoints lie in, wherever it is."""
    return {"flow.db", "log", "run"} <= names


def is_bare(names: frozenset[str]) -> bool:
    """True for a directory of git's own files."""
    return {"HEAD", "objects", "refs"} <= names


def within(found: Sequence[Found], budget: Budget) -> tuple[list[Found], list[LeftOut]]:
    """What fits into a budget; the largest files are left out first.

    Args:
        found: Each path once.
        budget: What there is.

    Returns:
        Those that fit, in their order, and the others, largest first.
    """
    by_size = sorted(found, key=lambda one: (one.stat.st_size, one.path))
    nbytes, count = 0, 0
    for one in by_size:
        if count == budget.files or nbytes + one.stat.st_size > budget.nbytes:
            break
        nbytes += one.stat.st_size
        count += 1
    if count == len(by_size):
        return list(found), []
    reason = f"beyond the {budget.files:,} files and {human_bytes(budget.nbytes)} of a checkpoint"
    left = [
        LeftOut(path=one.path, reason=reason, size=one.stat.st_size)
        for one in reversed(by_size[count:])
    ]
    gone = {one.path for one in by_size[count:]}
    return [one for one in found if one.path not in gone], left
