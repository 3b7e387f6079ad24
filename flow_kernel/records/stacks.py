"""Where a session is in its Python code, told by itself on a signal, also while the GIL is held.

`tell` is called by `session.assembly`, `ask` by `session.held` in another process.

    .flow/run/<session>.stack    the number of the signal in a line, then what faulthandler writes

The handler is faulthandler's own: it runs no Python, takes no lock and goes on with the system call
that it interrupts; `sleep` and `poll` of native code, which no system goes on with, return early.
It writes the stack of the thread that gets the signal: the main one, unless that blocks it.

The signal is one that the system has no use for (real-time) and that nobody has taken when the
session begins; `signal.getsignal` tells nothing of it. It is sent only to the very process of the
session, and only while that catches it: the system ends who does not.

The descriptor has a high number. A cell may close all that it finds, and the next file that it
opens gets the lowest: never this one, as a rule.
"""

import faulthandler
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows has none, and no such signals
    fcntl = None  # type: ignore[assignment]  # the other case

_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_TRIED: Final = 12
_MOST_DESCRIPTORS: Final = 1024
_FROM_THE_TOP: Final = 32
_LOOK_S: Final = 0.005
_QUIET_LOOKS: Final = 4
"""It writes in one go: what has not grown for so long is whole."""
_MASKS: Final = re.compile(rb"^Sig(?:Cgt|Ign):\s*([0-9a-f]+)", re.MULTILINE)
_BLOCKED: Final = re.compile(rb"^SigBlk:\s*([0-9a-f]+)", re.MULTILINE)
_CAUGHT: Final = re.compile(rb"^SigCgt:\s*([0-9a-f]+)", re.MULTILINE)


def tell(path: Path) -> Callable[[], None] | None:
    """From now on tell whoever asks; what ends that, or None where it cannot be.

    Args:
        path: Of the file.
    """
    number = _free_signal()
    if number is None or fcntl is None:
        return None
    try:
        low = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _FLAGS, 0o600)
    except OSError:
        return None
    try:
        os.write(low, b"%d\n" % number)
        fd = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _high())
    except OSError:
        return None
    finally:
        os.close(low)
    # Of more than a hundred threads not all are written, and the main one comes last.
    faulthandler.register(number, file=fd, all_threads=False, chain=False)

    def undo() -> None:
        faulthandler.unregister(number)
        with suppress(OSError):  # a cell has closed it
            os.close(fd)
        path.unlink(missing_ok=True)

    return undo


def ask(path: Path, pid: int, *, timeout_s: float) -> str | None:
    """The stack of the main thread of a process, as faulthandler writes it.

    Args:
        path: Of its file.
        pid: The process; its start time has been compared.
        timeout_s: How long to wait.

    Returns:
        None where it does not tell.
    """
    if fcntl is None:
        return None
    until_s = time.monotonic() + timeout_s
    try:
        fd = os.open(path, os.O_RDWR | _FLAGS)
    except OSError:
        return None
    try:
        if not _lock(fd, until_s):
            return None
        head = os.pread(fd, 8, 0).partition(b"\n")[0]
        if not head.isdigit() or not _takes(pid, int(head)):
            return None
        os.ftruncate(fd, len(head) + 1)
        os.kill(pid, int(head))
        return _written(fd, len(head) + 1, until_s)
    except OSError:
        return None
    finally:
        os.close(fd)


def _written(fd: int, start: int, until_s: float) -> str | None:
    size, quiet = start, 0
    while quiet < _QUIET_LOOKS and time.monotonic() < until_s:
        time.sleep(_LOOK_S)  # the system tells nobody when a file grows, without a watch on it
        before, size = size, os.fstat(fd).st_size
        quiet = quiet + 1 if size == before > start else 0
    return os.pread(fd, size - start, start).decode("utf-8", "replace") or None


def _lock(fd: int, until_s: float) -> bool:
    """One asks at a time."""
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > until_s:
                return False
            time.sleep(_LOOK_S)
        else:
            return True


def _free_signal() -> int | None:
    highest = getattr(signal, "SIGRTMAX", None)
    if highest is None or not hasattr(faulthandler, "register"):
        return None
    for number in range(int(highest) - 4, int(highest) - 4 - _TRIED, -1):
        if signal.getsignal(number) == signal.SIG_DFL and not _is_in(_MASKS, os.getpid(), number):
            return number
    return None


def _takes(pid: int, number: int) -> bool:
    """True where the main thread handles a signal: another one would tell where that one is."""
    return _is_in(_CAUGHT, pid, number) and not _is_in(_BLOCKED, pid, number)


def _is_in(masks: re.Pattern[bytes], pid: int, number: int) -> bool:
    """True where a signal is in one of these masks of a process; False where nobody says."""
    try:
        found = masks.findall(Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return False
    return any(int(mask, 16) >> (number - 1) & 1 for mask in found)


def _high() -> int:
    import resource  # not on Windows

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, _MOST_DESCRIPTORS)
    return max(3, most - _FROM_THE_TOP)
