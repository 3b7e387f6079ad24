"""What a worker still has to import until it is ready, learned once for each environment.

Called by `nursery`: a zygote imports it ahead, so that no worker has to.

The file is named by the interpreter and by what is installed; another version of anything is
another environment, and learns anew. The working directory is no part of it: each file that is
written there would make it another one. Only names of modules are in it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from flow_kernel.workers.here import directory, search_path

_MOST: Final = 5000
_MOST_FILES: Final = 8


def path_in(folder: Path) -> Path:
    """The file of this environment."""
    hashed = hashlib.sha256(f"{sys.executable}\n{sys.version}".encode())
    for entry in sorted({*search_path()} - {directory()}):
        with suppress(OSError):
            hashed.update(f"{entry}\n{Path(entry).stat().st_mtime_ns}\n".encode(errors="replace"))
    return folder / f"{hashed.hexdigest()[:16]}.json"


def read(path: Path) -> list[str]:
    """The names; empty where there are none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(found, list) or len(found) > _MOST:
        return []
    return [name for name in found if isinstance(name, str)]


def write(path: Path, modules: Sequence[str]) -> None:
    """Keep them, if the disk lets us; the files of environments long gone make room."""
    draft = path.with_suffix(f".{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(list(modules[:_MOST]), file)
        draft.replace(path)
        files = sorted(path.parent.glob("*.json"), key=lambda each: each.stat().st_mtime_ns)
        for old in files[:-_MOST_FILES]:
            old.unlink(missing_ok=True)


def forget(path: Path) -> None:
    """Importing them ahead did not go well."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
