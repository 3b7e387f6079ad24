"""Descriptors of log files, out of the way of the program that runs in the same process.

Called by `logfile`.

A cell may close every descriptor it did not open (`os.closerange`) and then open files of its own,
which get the lowest free numbers. Ours have high ones: what we write next meets EBADF, and not the
cell's file.
"""

import errno
import os
import stat
import sys
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_open: Final = os.open
_close: Final = os.close
_fstat: Final = os.fstat
_is_regular: Final = stat.S_ISREG
_EINVAL: Final = errno.EINVAL
_HIGH_FD: Final = 500
# O_NONBLOCK: a FIFO planted at the path must not block the cell.
_FLAGS: Final = (
    os.O_RDWR
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)

if sys.platform == "win32":
    duplicate: Final = os.dup

else:
    import fcntl

    _fcntl: Final = fcntl.fcntl
    _DUPLICATE: Final = fcntl.F_DUPFD_CLOEXEC

    def duplicate(fd: int) -> int:
        """Another descriptor of the same file, with a high number; raises OSError."""
        return _fcntl(fd, _DUPLICATE, _HIGH_FD)


def open_to_append(path: str) -> int:
    """Open a regular file for reading and appending; made with mode 0600 where it is missing.

    Raises:
        FileNotFoundError: Its directory is missing.
        OSError: The file system refuses, or the path leads to a link or to no regular file.
    """
    low = high = -1
    try:
        low = _open(path, _FLAGS, 0o600)
        high = _duplicate_or_same(low)
        _check_regular(low, path)
    except BaseException:
        for fd in {low, high} - {-1}:
            _close(fd)
        raise
    if high != low:
        _close(low)
    return high


def _check_regular(fd: int, path: str) -> None:
    if not _is_regular(_fstat(fd).st_mode):
        raise OSError(_EINVAL, "not a regular file", path)


def _duplicate_or_same(fd: int) -> int:
    try:
        return duplicate(fd)
    except OSError:  # the limit on open files is lower than that
        return fd
