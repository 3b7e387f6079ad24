"""Who goes through a run now, within one process as well.

Used by `service` around each run, and by `book` to tell a run that this process holds from one that
it has given up.

    .flow/run/steps/<run>/         files of its steps
    .flow/run/steps/<run>.lock     locked as long as somebody goes through it
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flow_kernel.errors import IllegalTransition
from flow_kernel.records.home import Home
from flow_kernel.records.locks import lock
from flow_kernel.workflow.private import private_directory


@contextmanager
def held(home: Home, run_id: str) -> Iterator[Path]:
    """Hold a run; gives an empty directory for files of its steps.

    Raises:
        IllegalTransition: Somebody else in this process holds it.
        OSError: The home cannot be written.
    """
    files = home.run_dir / "steps" / run_id
    private_directory(files.parent)
    path = _path(home, run_id)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        if not lock(fd, 0):
            raise IllegalTransition(f"{run_id} goes on already; nothing was changed")
        shutil.rmtree(files, ignore_errors=True)  # of a runner that was killed
        private_directory(files)
        try:
            yield files
        finally:
            clear(files)
            path.unlink(missing_ok=True)
            with suppress(OSError):  # others are run
                files.parent.rmdir()
    finally:
        os.close(fd)


def clear(files: Path) -> None:
    """Remove the files of steps."""
    shutil.rmtree(files, ignore_errors=True)


def is_held(home: Home, run_id: str) -> bool:
    """True where somebody holds a run, be it in this process."""
    try:
        fd = os.open(_path(home, run_id), os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return False
    try:
        return not lock(fd, 0)
    finally:
        os.close(fd)


def _path(home: Home, run_id: str) -> Path:
    return home.run_dir / "steps" / f"{run_id}.lock"
