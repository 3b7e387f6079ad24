"""An exclusive lock on an open file, waited for a bounded time.

Called by `logfile` around each append, by `repair`, `prune` and `verdict`.

flock(2): advisory, held by the open file description, and given back by the kernel when a killed
holder's last descriptor goes. Where the platform has no flock (Windows) there is no lock between
processes: `lock` then always says yes, and only the journal's own thread lock keeps order.

A writer that cannot have the lock in time writes without it. So whoever is to replace or delete a
file marks it first (`REPLACING`): what was written before the mark is there to be copied, and who
writes later sees the mark and looks again.
"""

import errno
import stat
import sys
import time
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_monotonic: Final = time.monotonic
_sleep: Final = time.sleep
# The sticky bit means nothing on a file, and is seen by each fstat.
REPLACING: Final = stat.S_ISVTX
_PAUSE_S: Final = 0.0005
_NO_LOCKS_HERE: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})

if sys.platform == "win32":
    EXCLUSIVE: Final = 0
    SHARED: Final = 0
    UNLOCK: Final = 0

    def flock(fd: int, operation: int) -> None:
        """Nothing: other processes cannot be kept out here."""

else:
    import fcntl

    flock: Final = fcntl.flock
    EXCLUSIVE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB
    SHARED: Final = fcntl.LOCK_SH | fcntl.LOCK_NB
    UNLOCK: Final = fcntl.LOCK_UN


def has_locks(fd: int) -> bool:
    """False where the file system of an open file has none: nobody can be kept out there."""
    try:
        flock(fd, SHARED)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS_HERE:
            raise
        return False
    flock(fd, UNLOCK)
    return True


def lock(fd: int, timeout_s: float, *, operation: int = EXCLUSIVE) -> bool:
    """Take the lock, waiting at most `timeout_s`; about 0.5 µs when it is free.

    The holder gives it back with `flock(fd, UNLOCK)` or by closing the file.

    Args:
        fd: An open file.
        timeout_s: 0 tries once.
        operation: EXCLUSIVE or SHARED.

    Returns:
        True when it is held; False when another process keeps it or the file system has no locks.

    Raises:
        OSError: The descriptor is closed.
    """
    deadline = None
    while True:
        try:
            flock(fd, operation)
            return True
        except BlockingIOError:
            deadline = _monotonic() + timeout_s if deadline is None else deadline
            if _monotonic() >= deadline:
                return False
            _sleep(_PAUSE_S)
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:
                raise
            return False
