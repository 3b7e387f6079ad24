"""Directories that nobody else looks into.

Used by what writes files of runs.
"""

from pathlib import Path


def private_directory(path: Path) -> None:
    """Make `path` and what is missing above it, for this user alone; harmless the second time.

    Raises:
        OSError: The disk refuses.
    """
    if path.is_dir():
        return
    private_directory(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
