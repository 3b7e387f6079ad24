"""Which processes have a file open.

Called by `session.store_repair` before it puts another file in its place.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


def holders_of(path: Path) -> list[int]:
    """The processes of this machine that have `path` open, this one left out.

    Those of other users cannot be looked into, nor any where there is no /proc.
    """
    try:
        wanted = path.stat()
    except OSError:
        return []
    key = (wanted.st_dev, wanted.st_ino)
    others = (path for path in _PROC.glob("[0-9]*") if path.name != str(os.getpid()))
    return sorted(int(process.name) for process in others if key in _open_files(process))


def _open_files(process: Path) -> set[tuple[int, int]]:
    found = set()
    # It may end meanwhile, or belong to another user.
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            with suppress(OSError):
                status = link.stat()
                found.add((status.st_dev, status.st_ino))
    return found
