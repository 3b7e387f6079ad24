"""Damaged bytes out of a log file, everything else untouched.

Called by `jupyter flow check --repair`.

Under the file's exclusive lock: the damaged bytes are appended to `<file>.torn`, the undamaged
lines copied to a new file beside it, which then takes the name. Writers notice that the file they
hold has no name any more. What they write to it without the lock before that is copied after it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from flow_kernel.errors import NotFound, StoreError
from flow_kernel.records.locks import UNLOCK, flock, lock
from flow_kernel.records.scan import scan_open

LOCK_TIMEOUT_S: Final = 5.0
_TRIES: Final = 5
_BLOCK_BYTES: Final = 256 * 1024
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_READ: Final = os.O_RDWR | os.O_APPEND | _NO_FOLLOW
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_FOLLOW
_CREATE: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | _NO_FOLLOW


def repair(path: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> int:
    """Move the damaged bytes of a log file to `<file>.torn`.

    Undamaged lines stay equal byte by byte and in their order. Without damage nothing is written;
    a second call changes nothing. Killed at any moment it leaves the old file or the new one.

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
    try:
        with (
            _create(path.with_name(f"{path.name}.torn"), _APPEND, file) as torn,
            _create(draft, _CREATE, file) as whole,
        ):
            lock(whole.fileno(), 0.0)
            moved, offset = _copy(file, path, _whole_lines_end(file), whole=whole, torn=torn)
            _sync(torn, whole)
            draft.replace(path)
            # A writer that could not have the lock may have written until then, and found that its
            # file still had a name. Who writes to it now will find that it has none.
            rest, _ = _copy(file, path, None, whole=whole, torn=torn, offset=offset)
            tell_writers(file)
            flock(whole.fileno(), UNLOCK)
            _sync(torn, whole)
    finally:
        draft.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return moved + rest


def _create(path: Path, flags: int, model: BinaryIO) -> BinaryIO:
    mode = os.fstat(model.fileno()).st_mode & 0o777
    return os.fdopen(os.open(path, flags, mode), "wb")


def _whole_lines_end(file: BinaryIO) -> int:
    # What stands behind the last newline may be half of a line that is just being written.
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _copy(
    file: BinaryIO,
    path: Path,
    end: int | None,
    *,
    whole: BinaryIO,
    torn: BinaryIO,
    offset: int = 0,
) -> tuple[int, int]:
    # How many pieces went to `torn`, and where the copied lines ended.
    moved = 0
    for line in scan_open(file, path, offset=offset, end=end):
        target = torn if line.record is None else whole
        target.write(line.raw + b"\n")
        moved += line.record is None
    whole.flush()
    return moved, offset if end is None else end


def _sync(*files: BinaryIO) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
