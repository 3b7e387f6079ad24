"""What is known of one file of a snapshot, and its row in a table (pure).

Made by `store.files.capture`, written and read by `store.files.table`.

    ["f", path, mode, part, [mtime_ns, ino, ctime_ns], is_settled]   a file
    ["l", path, target]                                              a symbolic link
    ["-", path, reason, size]                                        a file that is left out

Paths lie below a root and are spelled as text that any JSON holds; see `spelled`. A row may come
from a stranger: a path that leads out of the root, or into git's own files or ours, is refused.
"""

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flow_kernel.store.git.rules import FileChanges, LeftOut

_ESCAPE: Final = re.compile(r"\\(\\|x[0-9a-f]{2})")
_NEVER: Final = frozenset(["", ".", "..", ".git", ".flow"])
"""No part of a path: they lead elsewhere, or to what belongs to git and to us."""
_MODE_BITS: Final = 0o777
"""What is kept of a mode: never who the program runs as."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The content of a file: chunks in place, or a chunk that lists them."""

    nbytes: int
    chunks: tuple[str, ...] = ()
    listed: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        if self.listed is not None:
            return {"nbytes": self.nbytes, "list": self.listed}
        return {"nbytes": self.nbytes, "chunks": list(self.chunks)}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file system says of a file; another one after each change that it notices."""

    mtime_ns: int
    size: int
    ino: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Stamp":
        """The stamp in an answer of `stat`."""
        return cls(found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file or a link of a snapshot.

    Attributes:
        path: Below the root, as the file system spells it (undecodable bytes escaped).
        mode: The permission bits; 0 for a link.
        part: The content of a file; None for a link.
        target: Where a link points; empty for a file.
        stamp: Of the file when it was read; None for a link.
        is_settled: True when a later change of the file cannot have the same stamp.
    """

    path: str
    mode: int = 0
    part: Part | None = None
    target: str = ""
    stamp: Stamp | None = None
    is_settled: bool = False

    @property
    def content(self) -> tuple[object, ...]:
        """Equal exactly for files that are equal."""
        return (self.mode, self.part, self.target)


def row_of(one: Kept | LeftOut) -> list[Any]:
    """A file as a row of a table."""
    path = spelled(one.path)
    if isinstance(one, LeftOut):
        return ["-", path, one.reason, one.size]
    if one.part is None or one.stamp is None:
        return ["l", path, spelled(one.target)]
    stamp = [one.stamp.mtime_ns, one.stamp.ino, one.stamp.ctime_ns]
    return ["f", path, one.mode, one.part.document(), stamp, one.is_settled]


def parsed_row(row: Any) -> Kept | LeftOut:
    """The file of a row.

    Raises:
        ValueError: It is no row, or its path may not be written.
    """
    try:
        kind, path = row[0], unspelled(row[1])
        if kind == "-":
            return LeftOut(path=path, reason=str(row[2]), size=row[3])
        path = checked_path(path)
        if kind == "l":
            return Kept(path=path, target=unspelled(row[2]))
        if kind != "f":
            raise ValueError(f"a row of kind {str(kind)[:10]} is not known here")
        part = part_of(row[3])
        mtime_ns, ino, ctime_ns = row[4]
        return Kept(
            path=path,
            mode=int(row[2]) & _MODE_BITS,
            part=part,
            stamp=Stamp(mtime_ns, part.nbytes, ino, ctime_ns),
            is_settled=bool(row[5]),
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"a row lacks something: {error}") from None


def part_of(document: Mapping[str, Any]) -> Part:
    """The part of its JSON."""
    return Part(
        nbytes=int(document["nbytes"]),
        chunks=tuple(document.get("chunks", ())),
        listed=document.get("list"),
    )


def kept_mode(found: os.stat_result) -> int:
    """The bits of a mode that are kept."""
    return found.st_mode & _MODE_BITS


def checked_path(path: str) -> str:
    """A path that may be written below a root.

    Raises:
        ValueError: It may not.
    """
    if "\0" in path or not _NEVER.isdisjoint(path.lower().split("/")):
        raise ValueError(f"the path {spelled(path)[:100]!r} may not be written")
    return path


def spelled(path: str) -> str:
    r"""A path as text without surrogates: `"caf\xe9.txt"` in quotes where bytes are no UTF-8."""
    if not path.startswith('"'):
        try:
            path.encode()
        except UnicodeEncodeError:
            pass
        else:
            return path
    raw = path.replace("\\", "\\\\").encode("utf-8", "surrogateescape")
    return f'"{raw.decode("utf-8", "backslashreplace")}"'


def unspelled(text: str) -> str:
    """The path that `spelled` made a text of."""
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(
        lambda match: "\\" if match[1] == "\\" else os.fsdecode(bytes.fromhex(match[1][1:])),
        text[1:-1],
    )


def differences(
    before: Mapping[str, Kept], after: Mapping[str, Kept], left_out: Collection[str] = ()
) -> FileChanges:
    """How two sets of files differ.

    Args:
        before: By path.
        after: By path.
        left_out: Paths of which nobody can say; all below those that end with a slash.
    """
    paths = frozenset(left_out)
    folders = tuple(path for path in paths if path.endswith("/"))

    def known(found: Iterable[str]) -> list[str]:
        return sorted(path for path in found if path not in paths and not path.startswith(folders))

    return FileChanges(
        added=known(after.keys() - before.keys()),
        changed=known(
            path
            for path in before.keys() & after.keys()
            if before[path].content != after[path].content
        ),
        removed=known(before.keys() - after.keys()),
    )


def together(one: FileChanges, other: FileChanges) -> FileChanges:
    """The changes of two sets; a file that goes from one to the other has changed."""
    added, removed = {*one.added, *other.added}, {*one.removed, *other.removed}
    return FileChanges(
        added=sorted(added - removed),
        changed=sorted({*one.changed, *other.changed, *(added & removed)}),
        removed=sorted(removed - added),
    )
