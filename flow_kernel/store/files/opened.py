"""Which files this process has open: those are read where they are open, and never opened again.

Called by `store.files.capture` before it reads a file.

Closing any descriptor of a file gives up all locks that the process has on it. A database of the
user, or our own, would lose its locks to a mere look, and be written to by two at once.

Source: POSIX, fcntl; SQLite, "How To Corrupt An SQLite Database File", section 2.2.
"""

import os
import time
from pathlib import Path
from typing import Final

_FRESH_S: Final = 0.02


class OpenFiles:
    """The open files of this process; looked at anew when the last look is some hundredths old."""

    def __init__(self) -> None:
        self._looked_s = float("-inf")
        self._found: dict[tuple[int, int], int] = {}

    def fd(self, found: os.stat_result) -> int | None:
        """The descriptor of a file that is open somewhere in this process; not ours to close."""
        now_s = time.monotonic()
        if now_s - self._looked_s > _FRESH_S:
            self._found = _look()
            self._looked_s = now_s
        return self._found.get((found.st_dev, found.st_ino))


def _look() -> dict[tuple[int, int], int]:
    try:
        numbers = [path.name for path in Path("/dev/fd").iterdir()]  # Linux and macOS
    except OSError:
        return {}
    found = {}
    for number in numbers:
        try:
            status = os.fstat(int(number))
        except (OSError, ValueError):
            continue
        found[status.st_dev, status.st_ino] = int(number)
    return found
