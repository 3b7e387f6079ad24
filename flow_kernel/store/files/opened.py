"""Which files this process has open: those are read where they are open, and never opened again.

Called by `store.files.capture`, `store.files.parts` and `session.artifacts` to read a file.

Closing any descriptor of a file gives up all locks that the process has on it. A database of the
user, or our own, would lose its locks to a mere look, and be written to by two at once.

The descriptors belong to cells, which go on meanwhile: a number may be closed and given to another
file at any moment. So it is asked what it is of before and after.

Source: POSIX, fcntl; SQLite, "How To Corrupt An SQLite Database File", section 2.2.
"""

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_FRESH_S: Final = 0.02
_READ: Final = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)  # neither a pipe nor a device that took its place holds us
)
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_CONTENT: Final[int] = getattr(os, "O_PATH", 0)


class OpenFiles:
    """The open files of this process; looked at anew when the last look is some hundredths old."""

    def __init__(self) -> None:
        self._looked_s = float("-inf")
        self._found: dict[tuple[int, int], int] = {}

    @contextmanager
    def reading(
        self, path: str | os.PathLike[str], found: os.stat_result, *, follows_links: bool
    ) -> Iterator[tuple[int, os.stat_result]]:
        """A descriptor to read a file by with `read_at`, for the time of the block.

        A file that is open only to be written is opened once more: no database is.

        Args:
            path: Where it is opened if it is open nowhere in this process.
            found: What it was said to be there.
            follows_links: False when a link at its end is refused.

        Yields:
            The descriptor, whose place is not to be moved, and what it is of.

        Raises:
            OSError: It cannot be opened; EBADF when a cell has closed it meanwhile.
        """
        lent = self._lent(found)
        if lent is None:
            fd = os.open(path, _READ if follows_links else _READ | _NO_LINKS)
            try:
                yield fd, os.fstat(fd)
            finally:
                os.close(fd)
            return
        fd, status = lent
        yield lent
        if not os.path.samestat(os.fstat(fd), status):
            raise OSError(errno.EBADF, "it was closed while it was read")

    def _lent(self, found: os.stat_result) -> tuple[int, os.stat_result] | None:
        """A descriptor of a cell's, and what it is of."""
        if time.monotonic() - self._looked_s > _FRESH_S:
            self._look()
        for _ in range(2):
            fd = self._found.get((found.st_dev, found.st_ino))
            if fd is None:
                return None
            with suppress(OSError):  # it was closed since
                status = os.fstat(fd)
                if os.path.samestat(status, found):
                    return fd, status
            self._look()
        return None

    def _look(self) -> None:
        self._looked_s = time.monotonic()
        self._found = {}
        try:
            numbers = [int(path.name) for path in Path("/dev/fd").iterdir()]  # Linux and macOS
        except OSError:
            return
        for fd in numbers:
            with suppress(OSError):  # the one that listed them is closed again
                status = os.fstat(fd)
                if stat.S_ISREG(status.st_mode) and _is_readable(fd):
                    self._found[status.st_dev, status.st_ino] = fd


def read_at(fd: int, start: int, size: int) -> bytes:
    """At most so many bytes from a place on, by a descriptor that others read and write by."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, start)
    os.lseek(fd, start, os.SEEK_SET)  # Windows, where no descriptor is lent
    return os.read(fd, size)


if sys.platform == "win32":

    def _is_readable(_: int) -> bool:
        """Nobody asks: there is no list of what is open."""
        return True

else:
    import fcntl

    def _is_readable(fd: int) -> bool:
        """True for a descriptor that gives the content of its file."""
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        return flags & os.O_ACCMODE != os.O_WRONLY and not flags & _NO_CONTENT
