"""Files that a task made: named while it is worked on, looked at when it ends.

Called by `session.task_desk`; shown by reports. They are kept in the context of the task under one
key, as a list: a path as long as nobody has looked, then what was found.
"""

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.errors import UsageError
from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.store.files.opened import OpenFiles, read_at

KEY: Final = "artifacts"
_MAX_HASHED: Final = 1 << 30
_BLOCK_BYTES: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file as it was when its task ended.

    Attributes:
        path: Relative to the project where it lies in there.
        bytes: Its size; None while nobody has looked, or where it is no file.
        sha256: Of its content, 64 hex; None as well where it is larger than 1 GiB.
        problem: Why there is no size, e.g. missing; else empty.
    """

    path: str
    bytes: int | None = None
    sha256: str | None = None
    problem: str = ""

    def text(self) -> str:
        """`70.1 kB · sha256 3f2a…`, or what is wrong."""
        if self.problem:
            return self.problem
        if self.bytes is None:
            return "not looked at yet"
        short = f"sha256 {self.sha256[:16]}…" if self.sha256 else "too large for a checksum"
        return f"{human_bytes(self.bytes)} · {short}"


def artifacts_of(context: dict[str, object]) -> list[Artifact]:
    """The artifacts that a context names; what cannot be understood is left out."""
    value = context.get(KEY)
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [found for item in items if (found := _read(item)) is not None]


def document_of(artifact: Artifact) -> dict[str, object]:
    """One item of the list in the context."""
    return {
        "path": artifact.path,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "problem": artifact.problem,
    }


def with_path(context: dict[str, object], path: str) -> list[object]:
    """The list of a context with `path` in it, to be looked at when the task ends.

    Raises:
        UsageError: The key holds something else.
    """
    value = context.get(KEY, [])
    items: list[object] = [value] if isinstance(value, str) else value  # type: ignore[assignment]  # checked next
    if not isinstance(items, list):
        raise UsageError(
            f"the context key {KEY!r} holds {type(value).__name__}, not a list; nothing was changed"
        )
    others = [item for item in items if (known := _read(item)) is None or known.path != path]
    return [*others, path]


def path_in(project: Path, path: str | os.PathLike[str]) -> str:
    """How a file is named in the context: relative to the project where it lies in there.

    Raises:
        UsageError: That is no path.
    """
    try:
        given = os.fsdecode(path)
        given.encode()
    except (TypeError, ValueError):
        raise UsageError(f"an artifact is a path, not {one_line(repr(path), 60)}") from None
    if not given or "\0" in given:
        raise UsageError("an artifact is a path of at least one character")
    absolute = Path(os.path.abspath(given))  # noqa: PTH100 - without following links
    return str(absolute.relative_to(project) if absolute.is_relative_to(project) else absolute)


def look_at(project: Path, artifact: Artifact) -> Artifact:
    """`artifact` as the file is now. Reads up to 1 GiB of it."""
    path = artifact.path
    try:
        found = (project / path).stat()
        if stat.S_ISREG(found.st_mode):
            opened = OpenFiles().reading(project / path, found, follows_links=True)
            with opened as (fd, found):
                if stat.S_ISREG(found.st_mode):
                    digest = _sha256(fd) if found.st_size <= _MAX_HASHED else None
                    return Artifact(path=path, bytes=found.st_size, sha256=digest)
    except (OSError, ValueError) as error:
        is_missing = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR)
        return Artifact(path=path, problem="missing" if is_missing else "cannot be read")
    return Artifact(path=path, problem="no regular file")


def _sha256(fd: int) -> str:
    """Of the content of a file that others read and write by the same descriptor."""
    digest = hashlib.sha256()
    at = 0
    while block := read_at(fd, at, _BLOCK_BYTES):
        digest.update(block)
        at += len(block)
    return digest.hexdigest()


def _read(item: object) -> Artifact | None:
    if isinstance(item, str):
        return Artifact(path=item)
    if not isinstance(item, dict) or not isinstance(item.get("path"), str):
        return None
    size, digest, problem = item.get("bytes"), item.get("sha256"), item.get("problem")
    return Artifact(
        path=item["path"],
        bytes=size if isinstance(size, int) else None,
        sha256=digest if isinstance(digest, str) else None,
        problem=problem if isinstance(problem, str) else "",
    )
