"""What is captured of a working tree and how it is named (pure).

Called by `store.git.snapshots`.
"""

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

LARGE_BYTES: Final = 5 * 1024 * 1024
"""Files above it go where large things go, not into the user's object database."""

LARGE: Final = "large"
"""Why such a file is left out."""

DRAFT_SUFFIX: Final = ".flow-draft"
"""Ends the names of what a way back has not put in place yet."""

_SLUG_CHARS: Final = 40
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A path that a commit does not hold, and why.

    Attributes:
        path: Below the top, as the file system spells it (undecodable bytes escaped).
        reason: large, nested repository, unreadable, special file.
        size: In bytes; None where it has none.
    """

    path: str
    reason: str
    size: int | None = None


@dataclass(slots=True, kw_only=True)
class Work:
    """What has to happen to an index so that it equals the working tree."""

    add: list[bytes] = field(default_factory=list)
    remove: list[bytes] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


Look = Callable[[bytes], "os.stat_result | None"]
"""`lstat` of a path below the top; None when there is nothing."""


def sort_out(listed: bytes, look: Look, can_read: Callable[[bytes], bool]) -> Work:
    """Decide about each path that differs from the index.

    Args:
        listed: What `git ls-files -z -t -m -o` says: a letter, a blank, a path, NUL.
        look: Looks at a path.
        can_read: True when its content can be read.

    Returns:
        Each path once.
    """
    work = Work()
    for entry in dict.fromkeys(listed.split(b"\0")):
        path, is_new = entry[2:], entry[:1] == b"?"
        if not path:
            continue
        if path.endswith(b"/"):
            work.left_out.append(LeftOut(path=os.fsdecode(path), reason="nested repository"))
            continue
        found = look(path)
        if found is None or stat.S_ISDIR(found.st_mode):
            work.remove.append(path)
        elif (reason := _reason(found, path, can_read)) is None:
            work.add.append(path)
        else:
            work.left_out.append(LeftOut(path=os.fsdecode(path), reason=reason, size=found.st_size))
            if not is_new:  # a commit must not claim the content that it had before
                work.remove.append(path)
    return work


def _reason(found: os.stat_result, path: bytes, can_read: Callable[[bytes], bool]) -> str | None:
    """Why a path cannot be in a commit; None when it can."""
    if stat.S_ISLNK(found.st_mode):
        return None
    if not stat.S_ISREG(found.st_mode):
        return "special file"
    if not can_read(path):
        return "unreadable"
    return LARGE if found.st_size > LARGE_BYTES else None


def is_plain(listed: bytes) -> bool:
    """True when an index says no more than what the files are.

    Args:
        listed: What `git ls-files -z -v -s` says of the user's index.

    Returns:
        False for one with submodules, conflicts, entries that the user has hidden from git or that
        a sparse checkout left out.
    """
    return all(
        entry.startswith(b"H ")
        and entry[2:4] != b"16"
        and entry.partition(b"\t")[0].endswith(b" 0")
        for entry in listed.split(b"\0")
        if entry
    )


def slug(name: str) -> str:
    """A name as a part of a ref: letters, digits and dashes, 40 at most, never empty."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return _UNSAFE.sub("-", plain).strip("-")[:_SLUG_CHARS].strip("-") or "checkpoint"


def ref_name(session: str, number: int, name: str) -> str:
    """`refs/mcp/<session>/<n>-<slug>`; no branch and no tag, so git shows it to nobody."""
    return f"refs/mcp/{session}/{number}-{slug(name)}"


def tag_name(session: str, name: str) -> str:
    """`mcp/<session>/<slug>`."""
    return f"mcp/{session}/{slug(name)}"


def is_refused(top: str, user_home: str) -> bool:
    """True for `/`, the user's home and what is above it: never one project's files."""
    real_top, home = Path(top).resolve(), Path(user_home).resolve()
    return real_top == real_top.parent or home.is_relative_to(real_top)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChanges:
    """Paths that differ between two commits, sorted."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    @property
    def is_empty(self) -> bool:
        """True when nothing differs."""
        return not (self.added or self.changed or self.removed)

    def reversed(self) -> "FileChanges":
        """The changes the other way round."""
        return FileChanges(added=self.removed, changed=self.changed, removed=self.added)


NO_CHANGES: Final = FileChanges(added=[], changed=[], removed=[])


def parse_changes(listed: bytes) -> FileChanges:
    """What `git diff-tree -z -r --no-renames --name-status` says."""
    words = iter(listed.split(b"\0"))
    by_letter: dict[str, list[str]] = {"A": [], "D": [], "M": []}
    for letter, path in _pairs(words):
        by_letter["M" if letter not in "AD" else letter].append(os.fsdecode(path))
    return FileChanges(
        added=sorted(by_letter["A"]),
        changed=sorted(by_letter["M"]),
        removed=sorted(by_letter["D"]),
    )


def _pairs(words: Iterable[bytes]) -> Iterable[tuple[str, bytes]]:
    rest = iter(words)
    for letter in rest:
        if letter:
            yield letter.decode("ascii")[:1], next(rest)
