"""What would be lost by writing files: ignored ones, which git takes for expendable.

Called by `store.git.snapshots` before it goes back.
"""

import os
from pathlib import Path

from flow_kernel.store.git.rules import FileChanges


def in_the_way(top: Path, changes: FileChanges) -> str | None:
    """The first path that exists, is in no snapshot, and would be overwritten; None as a rule.

    Args:
        top: Of the working tree.
        changes: What is about to be done to it.
    """
    removed = frozenset(changes.removed)
    looked: set[str] = set()
    for added in changes.added:
        for path in _with_parents(added):
            if path in looked:
                continue
            looked.add(path)
            for found in _files(top, path, is_whole=path == added):
                if found not in removed:
                    return found
    return None


def _with_parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


def _files(top: Path, path: str, *, is_whole: bool) -> list[str]:
    """A file at a path, or all below a directory where a file shall be."""
    where = top / path
    if not os.path.lexists(where):
        return []
    if where.is_symlink() or not where.is_dir():
        return [path]
    if not is_whole:
        return []
    found = []
    for folder, names, leaves in os.walk(where):
        inside = Path(folder)
        links = [name for name in names if (inside / name).is_symlink()]
        found += [str((inside / name).relative_to(top)) for name in [*leaves, *links]]
    return found
