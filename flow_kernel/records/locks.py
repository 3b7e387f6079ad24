"""An exclusive lock on an open file, waited for a bounded time.

Called by `logfile` around each append, by `repair`, `prune` and `scan`.

flock(2): advisory, held by the open file description, and given back by the kernel when a killed
holder's last descriptor goes. Where the platform has no flock (Windows) there is no lock between
processes: `lock` then always says yes, and only the journal's own thread lock keeps order.
"""

import errno
import sys
import time
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_monotonic: Final = time.monotonic
_sleep: Final = time.sleep
_PAUSE_S: Final = 0.0005
_NO_LOCKS_HERE: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})

if sys.platform == "win32":

    def try_lock(fd: int, *, is_shared: bool = False) -> bool:
        """True: other processes cannot be kept out here."""
        return True

    def unlock(fd: int) -> None:
        """Nothing to give back."""

else:
    import fcntl

    _flock: Final = fcntl.flock
    _EXCLUSIVE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB
    _SHARED: Final = fcntl.LOCK_SH | fcntl.LOCK_NB
    _UNLOCK: Final = fcntl.LOCK_UN

    def try_lock(fd: int, *, is_shared: bool = False) -> bool:
        """Take the lock if it is free now.

        Raises:
            OSError: The descriptor is closed, or the file system has no locks.
        """
        try:
            _flock(fd, _SHARED if is_shared else _EXCLUSIVE)
        except BlockingIOError:
            return False
        return True

    def unlock(fd: int) -> None:
        """Give the lock back; a descriptor that somebody closed has given it back already."""
        try:
            _flock(fd, _UNLOCK)
        except OSError:
            pass


def lock(fd: int, timeout_s: float, *, is_shared: bool = False) -> bool:
    """Take the lock, waiting at most `timeout_s`; about 0.5 µs when it is free.

    Returns:
        True when it is held; False when another process keeps it or the file system has no locks.

    Raises:
        OSError: The descriptor is closed.
    """
    try:
        if try_lock(fd, is_shared=is_shared):
            return True
        deadline = _monotonic() + timeout_s
        while _monotonic() < deadline:
            _sleep(_PAUSE_S)
            if try_lock(fd, is_shared=is_shared):
                return True
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
    return False
