"""Facts about this process and this machine that need no dependency on Linux.

Called by `lease` and by the recorder's housekeeping; psutil stands in on other systems.
"""

import os
import re
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]  # the other case

globals()["__builtins__"] = FROZEN_BUILTINS

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_search_high_water: Final = re.compile(rb"^VmHWM:\s*(\d+) kB", re.MULTILINE).search
_pread: Final = getattr(os, "pread", None)
_getrusage: Final = getattr(resource, "getrusage", None)
_SELF: Final = getattr(resource, "RUSAGE_SELF", 0)
_KIB: Final = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    """A process, told apart from any later one that gets the same number.

    Attributes:
        pid: Its number in its PID namespace.
        start_time: When it started, in the clock of `boot_id` (ticks on Linux, seconds elsewhere).
        boot_id: This boot of this machine.
        host: Name of the machine.
        pid_namespace: Where `pid` counts; empty where there is none.
    """

    pid: int
    start_time: str
    boot_id: str
    host: str
    pid_namespace: str


class ResidentMemory:
    """Resident bytes of this process, cheap enough for every cell."""

    def __init__(self) -> None:
        self._fd = _open_or_none("/proc/self/statm")
        self._status_fd = _open_or_none("/proc/self/status")

    def __call__(self) -> int | None:
        """Resident bytes now, or None where this system does not say. About 1 us."""
        if self._fd < 0 or _pread is None:
            return None
        try:
            return int(_pread(self._fd, 128, 0).split()[1]) * _PAGE_BYTES
        except (OSError, ValueError, IndexError):
            return None

    def peak(self) -> int | None:
        """The most that was ever resident, or None where this system does not say. About 20 us."""
        if self._status_fd < 0 or _pread is None:
            return self()
        try:
            found = _search_high_water(_pread(self._status_fd, 4096, 0))
        except OSError:
            return self()
        return int(found[1]) * 1024 if found else self()

    def close(self) -> None:
        """Give the descriptor back."""
        for fd in (self._fd, self._status_fd):
            if fd >= 0:
                try:
                    os.close(fd)
                except OSError:
                    pass
        self._fd = self._status_fd = -1


def peak_rss_bytes() -> int:
    """The most that this process ever held; 0 where nobody says. 1 us, and it keeps the GIL.

    A program that was started by a larger one begins with the peak of that.
    """
    return 0 if _getrusage is None else int(_getrusage(_SELF).ru_maxrss) * _KIB


def _open_or_none(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return -1


def this_process() -> ProcessId:
    """The identity of this process."""
    pid = os.getpid()
    return ProcessId(
        pid=pid,
        start_time=start_time(pid) or "",
        boot_id=boot_id(),
        host=socket.gethostname(),
        pid_namespace=pid_namespace(),
    )


def is_alive(process: ProcessId, here: ProcessId) -> bool:
    """False only when `process` is certainly gone, judged from the process `here`.

    A process of another machine or of another PID namespace of this boot cannot be judged.
    """
    if process.host != here.host:
        return True
    if process.boot_id != here.boot_id:
        return False
    if process.pid_namespace != here.pid_namespace:
        return True
    return start_time(process.pid) == process.start_time


def start_time(pid: int) -> str | None:
    """When `pid` started, or None when there is no such process (a zombie counts as none)."""
    if sys.platform.startswith("linux"):
        try:
            with open(f"/proc/{pid}/stat", "rb", 0) as file:  # noqa: PTH123 - half the time
                stat = file.read()
        except OSError:
            return None
        fields = stat[stat.rfind(b")") + 2 :].split()
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    import psutil  # costs 20 ms at import; only systems without /proc need it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def signal_name(number: int) -> str:
    """`SIGKILL` for 9; `signal 40` for one that has no name, as most of those for real time."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def boot_id() -> str:
    """An id of this boot of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        import psutil  # costs 20 ms at import; only systems without /proc need it

        return f"{psutil.boot_time():.0f}"


def pid_namespace() -> str:
    """The PID namespace of this process, empty where there is no such thing."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def oom_kills() -> dict[str, int]:
    """How many processes the kernel killed for memory, for this cgroup and for this machine."""
    found: dict[str, int] = {}
    for label, path, key in (
        ("cgroup", "/sys/fs/cgroup/memory.events", b"oom_kill"),
        ("cgroup", "/sys/fs/cgroup/memory/memory.oom_control", b"oom_kill"),
        ("machine", "/proc/vmstat", b"oom_kill"),
    ):
        try:
            lines = Path(path).read_bytes().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, number = line.partition(b" ")
            if name == key and number.strip().isdigit():
                found.setdefault(label, int(number))
    return found


def memory_total() -> int | None:
    """Memory of the machine in bytes, or None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES
    except (ValueError, OSError, AttributeError):
        return None
