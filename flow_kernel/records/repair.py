"""Damaged bytes out of a log file, everything else untouched.

Called by `jupyter flow check --repair`.

Under the file's exclusive lock: the damaged bytes are appended to `<file>.torn`, the undamaged
lines copied to a new file beside it, which then takes the name. Writers notice that the file they
hold has no name any more.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.locks import REPLACING, UNLOCK, flock, lock
from flow_kernel.records.scan import scan_open

LOCK_TIMEOUT_S: Final = 5.0
_TRIES: Final = 5
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_READ: Final = os.O_RDWR | os.O_APPEND | _NO_FOLLOW
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_FOLLOW
_CREATE: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | _NO_FOLLOW


def repair(path: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> int:
    """Move the damaged bytes of a log file to `<file>.torn`.

    Undamaged lines stay equal byte by byte and in their order. Without damage nothing is written;
    a second call changes nothing. Killed at any moment it leaves the old file or the new one. On a
    network file system writers take no lock: repair their logs when their sessions have ended.

    Args:
        path: A log file.
        lock_timeout_s: How long to wait for its writers.

    Returns:
        How many damaged lines, or damaged parts of lines, were moved.

    Raises:
        NotFound: There is no such file.
        StoreError: The lock cannot be had, or the file system refuses; the log is as before.
    """
    try:
        with locked(path, lock_timeout_s) as file:
            return _repair(file, path)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"cannot repair {path} ({error.strerror}); the log is as before",
        ) from error


@contextmanager
def locked(path: Path, timeout_s: float) -> Iterator[BinaryIO]:
    """The file that `path` leads to, under its exclusive lock.

    Raises:
        NotFound: There is no such file.
        StoreError: The lock cannot be had in `timeout_s`, or the file is replaced again and again.
        OSError: The file cannot be opened.
    """
    for _ in range(_TRIES):
        try:
            file = os.fdopen(os.open(path, _READ), "r+b", buffering=0)
        except FileNotFoundError as error:
            raise NotFound(f"there is no log file {path}") from error
        with file:
            if not lock(file.fileno(), timeout_s):
                break
            try:
                if _is_at(file, path):
                    yield file
                    return
            finally:
                flock(file.fileno(), UNLOCK)
    raise StoreError(
        f"the lock of {path} is held by another process; nothing was changed",
        hint="try again when its kernel is idle or has ended",
    )


@contextmanager
def about_to_replace(file: BinaryIO) -> Iterator[None]:
    """Mark a file, under its lock, before its size is looked at for the last time."""
    mode = os.fstat(file.fileno()).st_mode & 0o777
    os.fchmod(file.fileno(), mode | REPLACING)
    try:
        yield
    finally:
        if os.fstat(file.fileno()).st_nlink:
            os.fchmod(file.fileno(), mode)


def tell_writers(file: BinaryIO) -> None:
    """Make writers that hold a file without a name look at its path again; under its lock.

    Its size is what they look at each time.
    """
    os.write(file.fileno(), b"\n")


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _repair(file: BinaryIO, path: Path) -> int:
    if all(line.record is not None for line in scan_open(file, path)):
        return 0
    draft = path.with_name(f".{path.name}.repair")
    moved = 0
    try:
        with (
            about_to_replace(file),
            _create(path.with_name(f"{path.name}.torn"), _APPEND, file) as torn,
            _create(draft, _CREATE, file) as whole,
        ):
            for line in scan_open(file, path, end=os.fstat(file.fileno()).st_size):
                target = torn if line.record is None else whole
                target.write(line.raw + b"\n")
                moved += line.record is None
            for target in (torn, whole):
                target.flush()
                os.fsync(target.fileno())
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    tell_writers(file)
    _sync_directory(path.parent)
    return moved


def _create(path: Path, flags: int, model: BinaryIO) -> BinaryIO:
    mode = os.fstat(model.fileno()).st_mode & 0o777
    return os.fdopen(os.open(path, flags, mode), "wb")


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
