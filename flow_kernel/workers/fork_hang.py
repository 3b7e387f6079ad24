"""Tells a copy of the session that hangs as it begins: it waits for what no thread of it will do.

Called by `live_fork`, which kills it. A fork takes one thread along; a lock that another one held,
or a pool whose threads stayed behind, is waited for without an end. That is certain where

    - every thread of it waits in a futex without a timeout, in memory that is its own: what is
      shared another process may wake it from
    - none of these has used the processor since, and it has no child
    - no handler of its own waits for an alarm, which nobody else can see coming
    - that began in its first two seconds, and has lasted for a while

Source: proc_pid_syscall(5): number of the call, then its arguments; the timeout is the fourth.
proc_pid_status(5): the signals that are caught. proc_pid_maps(5); futex(2): who waits for the end
of a thread does so without FUTEX_PRIVATE_FLAG.
"""

import os
import platform
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from flow_kernel.workers import sweep
from flow_kernel.workers.glimpses import Glimpses

_FUTEX: Final = {"x86_64": "202", "aarch64": "98", "riscv64": "98"}.get(platform.machine(), "")
_BEGINNING_S: Final = 2.0
_LASTS_S: Final = 1.0
_EACH_S: Final = 0.1
_TELLING_S: Final = 0.1
_ADDRESS_AT, _OPERATION_AT, _TIMEOUT_AT = 1, 2, 4
_PRIVATE: Final = 128
_ALARM: Final = 1 << (signal.SIGALRM - 1) if hasattr(signal, "SIGALRM") else 0
_monotonic: Final = time.monotonic
Verdict = Literal["", "tell", "kill"]


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of a process: all its threads wait for a lock, and what it has used so far."""

    is_waiting: bool
    ticks: int


class HangWatch:
    """Of one copy.

    Args:
        pid: Its process.
        glimpses: Tell which of its threads only looks at it; None for none.
    """

    def __init__(self, pid: int, glimpses: Glimpses | None = None) -> None:
        self._pid = pid
        self._glimpses = glimpses
        self._began_s = self._looked_s = _monotonic()
        self._since_s: float | None = None
        self._ticks = -1
        self._told_s: float | None = None
        self._was_well = False
        self._is_over = not _FUTEX
        self.has_hung: bool = False
        """True once it was found to."""

    def look(self) -> Verdict:
        """What is to be done now; a look costs 30 us, and none is made once it is well."""
        now_s = _monotonic()
        if self._told_s is not None:
            if now_s - self._told_s < _TELLING_S:
                return ""
            self._told_s = None
            return "kill"
        if self._is_over or now_s - self._looked_s < _EACH_S:
            return ""
        self._looked_s = now_s
        seen = look(self._pid, without=self._lookers())
        if seen is None or not seen.is_waiting:
            self._ticks, self._since_s = -1 if seen is None else seen.ticks, None
        elif self._since_s is None or seen.ticks != self._ticks:
            self._ticks, self._since_s = seen.ticks, now_s
        # A wait that is seen only after the beginning may have begun after it, however long ago it
        # was that anybody looked: who looks may have had no processor.
        is_past = now_s - self._began_s > _BEGINNING_S
        if is_past and (self._since_s is None or self._was_well):
            self._is_over = True
            return ""
        self._was_well = self._since_s is None
        if self._since_s is None or now_s - self._since_s < _LASTS_S:
            return ""
        self._is_over = self.has_hung = True
        self._told_s = now_s
        return "tell"

    def _lookers(self) -> frozenset[int]:
        glimpse = None if self._glimpses is None else self._glimpses.read()
        return frozenset() if glimpse is None else frozenset(glimpse.ours) - {self._pid}


def look(pid: int, *, without: frozenset[int] = frozenset()) -> Look | None:
    """What is seen of a process; None where nobody may look, or it is gone.

    Args:
        pid: Which.
        without: Threads that are not looked at.
    """
    try:
        threads = [each for each in _threads(pid) if int(each) not in without]
        calls = [_text(f"/proc/{pid}/task/{each}/syscall").split() for each in threads]
        # Of each thread: who looks at it uses the processor as well.
        stats = [_text(f"/proc/{pid}/task/{each}/stat") for each in threads]
        is_waiting = bool(calls) and all(map(_waits, calls)) and not sweep.children(pid)
        is_waiting = is_waiting and not any(_is_shared(pid, call) for call in calls)
        is_waiting = is_waiting and not _caught(pid) & _ALARM
    except (OSError, IndexError):
        return None
    return Look(is_waiting=is_waiting, ticks=sum(map(_ticks, stats)))


def _ticks(stat: str) -> int:
    fields = stat[stat.rfind(")") + 2 :].split()
    return int(fields[11]) + int(fields[12])


def _waits(call: list[str]) -> bool:
    return len(call) > _TIMEOUT_AT and call[0] == _FUTEX and int(call[_TIMEOUT_AT], 16) == 0


def _is_shared(pid: int, call: list[str]) -> bool:
    """True where what it waits for is in memory that it shares with other processes."""
    if int(call[_OPERATION_AT], 16) & _PRIVATE:
        return False
    address = int(call[_ADDRESS_AT], 16)
    for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
        place, rights = line.split(None, 2)[:2]
        begin, _, end = place.partition(b"-")
        if int(begin, 16) <= address < int(end, 16):
            return rights.endswith(b"s")
    return False


def _caught(pid: int) -> int:
    """The signals that it has handlers for, one bit each."""
    return int(_text(f"/proc/{pid}/status").partition("SigCgt:")[2].split(None, 1)[0], 16)


def _threads(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names only, and it is much faster


def _text(path: str) -> str:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 4096).decode("ascii", "replace")
    finally:
        os.close(fd)
