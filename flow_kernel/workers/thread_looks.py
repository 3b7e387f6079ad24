"""What the threads of a worker do now, as the system tells it.

Called by `session.isolation.watchdog`. One look at a thread reads three small files: 20 us.

Source: proc_pid_stat(5), proc_pid_syscall(5); schedstat: Documentation/scheduler/sched-stats.rst;
the numbers of calls: asm/unistd_64.h of x86, asm-generic/unistd.h of arm64; futex(2).
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from flow_kernel.workers.sweep import HAS_PROC

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_PRIVATE: Final = 128
_OPERATION: Final = 0x7F
_WAITS: Final = (0, 9)
"""FUTEX_WAIT and FUTEX_WAIT_BITSET."""


class Doing(StrEnum):
    """What a thread does, as `%workers` shows it."""

    COMPUTING = "computing"
    SLEEPING = "sleeping"
    IO = "waiting_io"
    CHILD = "waiting_child"
    LOCK = "waiting_lock"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


_NUMBERS: Final[Mapping[str, Mapping[Doing, str]]] = {
    "x86_64": {
        Doing.LOCK: "202",
        Doing.SLEEPING: "34 35 230",
        Doing.CHILD: "61 247",
        Doing.IO: "0 1 7 17 18 19 20 23 42 43 44 45 46 47 232 270 271 281 288 295 296 441",
    },
    "aarch64": {
        Doing.LOCK: "98",
        Doing.SLEEPING: "101 115",
        Doing.CHILD: "95 260",
        Doing.IO: "22 63 64 65 66 67 68 72 73 202 203 206 207 211 212 242 441",
    },
}
_CALLS: Final[Mapping[str, Doing]] = {
    number: doing
    for doing, numbers in _NUMBERS.get(platform.machine(), {}).items()
    for number in numbers.split()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadLook:
    """What one thread does.

    Attributes:
        doing: That.
        wanted_s: Seconds that it has computed, or waited for a processor, since its start: on a
            machine with much to do it still wants all of one.
        is_for_ever: True while it waits, without an end, for another thread of its own process.
        is_timed: True while it waits for one for some time, as who wants the GIL does.
        is_traced: True where it is stopped because another process looks at it: a debugger.
    """

    doing: Doing
    wanted_s: float
    is_for_ever: bool = False
    is_timed: bool = False
    is_traced: bool = False


def look(pid: int, tid: int) -> ThreadLook | None:
    """What a thread does; None where there is none, or nobody says.

    Args:
        pid: Its process.
        tid: It; that of the main thread is the pid.
    """
    if not HAS_PROC:
        return _look_by_psutil(pid) if pid == tid else None
    base = f"/proc/{pid}/task/{tid}/"
    try:
        stat = _read(base + "stat")
        fields = stat[stat.rfind(b")") + 2 :].split()
        state = fields[0]
        computed_s = (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    except (OSError, ValueError, IndexError):
        return None
    wanted_s = _wanted_s(base, computed_s)
    if state in (b"T", b"t"):
        return ThreadLook(doing=Doing.STOPPED, wanted_s=wanted_s, is_traced=state == b"t")
    if state == b"R":
        return ThreadLook(doing=Doing.COMPUTING, wanted_s=wanted_s)
    return _waits_for(base, wanted_s)


def threads(pid: int) -> frozenset[int]:
    """The threads of a process; none where nobody says."""
    try:
        return frozenset(int(entry.name) for entry in os.scandir(f"/proc/{pid}/task"))
    except (OSError, ValueError):
        return frozenset()


def computed_s(pid: int) -> float | None:
    """What all threads of a process have computed; None where nobody says."""
    try:
        stat = _read(f"/proc/{pid}/stat")
        fields = stat[stat.rfind(b")") + 2 :].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    except (OSError, ValueError, IndexError):
        return None


def catches(pid: int, number: int) -> bool:
    """True where a process has a handler for a signal, which does not end it then."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().split(b"\n")
        mask = next(line for line in lines if line.startswith(b"SigCgt:"))
        return bool(int(mask.split()[1], 16) >> (number - 1) & 1)
    except (OSError, StopIteration, ValueError, IndexError):
        return False


def _wanted_s(base: str, computed_s: float) -> float:
    try:
        computed, waited, _ = _read(base + "schedstat").split()
        return (int(computed) + int(waited)) / 1e9
    except (OSError, ValueError):
        return computed_s


def _waits_for(base: str, wanted_s: float) -> ThreadLook:
    try:
        words = _read(base + "syscall").decode().split()
    except (OSError, ValueError):
        words = []
    if words[:1] == ["running"]:
        return ThreadLook(doing=Doing.COMPUTING, wanted_s=wanted_s)
    found = _CALLS.get(words[0] if words else "", Doing.UNKNOWN)
    if found is not Doing.LOCK or len(words) < 5:
        return ThreadLook(doing=found, wanted_s=wanted_s)
    operation, until = int(words[2], 16), int(words[4], 16)
    is_wait = operation & _OPERATION in _WAITS
    # What is not private is shared with other processes, which may wake it.
    is_ours = is_wait and bool(operation & _PRIVATE)
    return ThreadLook(
        doing=found,
        wanted_s=wanted_s,
        is_for_ever=is_ours and until == 0,
        is_timed=is_ours and until != 0,
    )


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 1024)
    finally:
        os.close(fd)


def _look_by_psutil(pid: int) -> ThreadLook | None:
    import psutil  # costs 20 ms at import; only systems without /proc need it

    try:
        process = psutil.Process(pid)
        status, times = process.status(), process.cpu_times()
    except psutil.Error:
        return None
    known = {
        psutil.STATUS_RUNNING: Doing.COMPUTING,
        psutil.STATUS_STOPPED: Doing.STOPPED,
        psutil.STATUS_SLEEPING: Doing.SLEEPING,
    }
    return ThreadLook(doing=known.get(status, Doing.UNKNOWN), wanted_s=times.user + times.system)
