"""Whether the main thread of a process has got past the start of what it does now.

Python looks for signals between steps, and a wait of the system is broken off only by one that
comes while it waits. One that comes between the last look and the wait is noticed at the wait's
end: an interrupt sent the moment a cell says that it is about to sleep is lost to that sleep.
Source: proc_pid_status(5), sched-stats of Linux; elsewhere a process counts as settled at once.
"""

import time
from pathlib import Path
from typing import Final

_RESTED_S: Final = 0.025
"""So long without a switch is no wait for the interpreter's lock, which asks each 5 ms."""
_RAN_NS: Final = 5_000_000


class Settled:
    """Asked until it says so: the main thread of `pid` has rested, or run for a while, since."""

    def __init__(self, pid: int) -> None:
        self._task = Path(f"/proc/{pid}/task/{pid}")
        self._ran = self._used()
        self._seen = ""
        self._since = 0.0

    def __call__(self) -> bool:
        if not self._task.exists() or self._used() - self._ran > _RAN_NS:
            return True
        switches = (self._task / "status").read_text().partition("voluntary_ctxt_switches")[2]
        now = time.monotonic()
        if switches != self._seen:
            self._seen, self._since = switches, now
        return now - self._since > _RESTED_S

    def _used(self) -> int:
        if not self._task.exists():
            return 0
        return int((self._task / "schedstat").read_text().split()[0])
