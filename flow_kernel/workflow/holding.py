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
from typing import Final

from flow_kernel.errors import IllegalTransition, StoreError
from flow_kernel.records.home import Home
from flow_kernel.records.locks import has_locks, lock
from flow_kernel.workflow.private import private_directory

_FLAGS: Final = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)
_PATIENCE_S: Final = 5.0
_MOST_TRIES: Final = 100


@contextmanager
def held(home: Home, run_id: str) -> Iterator[Path]:
    """Hold a run; gives an empty directory for files of its steps.

    Raises:
        IllegalTransition: Somebody else in this process holds it.
        OSError: The home cannot be written.
    """
    files = home.run_dir / "steps" / run_id
    path = _path(home, run_id)
    fd = _locked(path, run_id)
    try:
        shutil.rmtree(files, ignore_errors=True)  # of a runner that was killed
        private_directory(files)
        try:
            yield files
        finally:
            clear(files)
            if _is_at(fd, path):  # it may be another's by now
                let_go(home, run_id)
    finally:
        os.close(fd)


def let_go(home: Home, run_id: str) -> None:
    """Leave no trace of holding a run that is about to be over; harmless the second time.

    Nobody would clear up behind a process that is killed later.
    """
    path = _path(home, run_id)
    with suppress(OSError):  # others are run
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def _locked(path: Path, run_id: str) -> int:
    """A descriptor of the file at `path`, which nobody else has locked."""
    for _ in range(_MOST_TRIES):
        try:
            private_directory(path.parent)
            fd = os.open(path, _FLAGS | os.O_CREAT, 0o600)
        except FileNotFoundError:  # another run is over, and has removed what was empty
            continue
        # Who has let go of the run in the store may still be about to end.
        is_locked = lock(fd, _PATIENCE_S) or not has_locks(fd)
        if is_locked and _is_at(fd, path):
            return fd
        os.close(fd)
        if not is_locked:
            raise IllegalTransition(f"{run_id} goes on already; nothing was changed")
    raise StoreError(f"{path} is removed again and again")


def _is_at(fd: int, path: Path) -> bool:
    """False where whoever held it before has removed it."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def clear(files: Path) -> None:
    """Remove the files of steps."""
    shutil.rmtree(files, ignore_errors=True)


def is_held(home: Home, run_id: str) -> bool:
    """True where somebody holds a run, be it in this process."""
    try:
        fd = os.open(_path(home, run_id), _FLAGS)
    except OSError:
        return False
    try:
        return not lock(fd, 0) and has_locks(fd)
    finally:
        os.close(fd)


def _path(home: Home, run_id: str) -> Path:
    return home.run_dir / "steps" / f"{run_id}.lock"
