"""How much memory this process can still get before the system ends it.

Called by `session.memory_watch` while a cell runs.

The least of what the machine has available and of what is left in each control group that the
process is in, both versions. Pages that a group can give back at once (inactive files) count as
left, as in `MemAvailable`. Swap does not: who needs it is near the end already.

Source: proc_meminfo(5), cgroups(7), the kernel's cgroup-v1/memory and cgroup-v2.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_search_available: Final = re.compile(rb"^MemAvailable:\s*(\d+) kB", re.MULTILINE).search
_V2: Final = ("memory.max", "memory.current", re.compile(rb"^inactive_file (\d+)", re.MULTILINE))
_V1: Final = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    re.compile(rb"^total_inactive_file (\d+)", re.MULTILINE),
)
_UNLIMITED_BYTES: Final = 1 << 60
_MOST_BYTES: Final = 65536
_READ_ONLY: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)
# A cell may replace them: what runs in its session runs beside it.
_open: Final = os.open
_read: Final = os.read
_close: Final = os.close
_pread: Final[Callable[[int, int, int], bytes] | None] = getattr(os, "pread", None)
_MOUNTS: Final = "sys/fs/cgroup"


class _File:
    """A small file that is read again and again.

    It stays open: where another thread keeps the GIL, each call of the system that gives it away
    costs 5 ms, and to open, read and close are three.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._is_closed = False

    def read(self) -> bytes:
        """What is in it now; empty where it cannot be read."""
        if _pread is None:
            return _bytes(self._path)
        for _ in range(2):
            if self._fd < 0 and not self._is_closed:
                try:
                    self._fd = _open(self._path, _READ_ONLY)
                except OSError:
                    return b""
            try:
                return _pread(self._fd, _MOST_BYTES, 0)
            except OSError:  # a cell has closed what it found
                self._fd = -1
        return b""

    def close(self) -> None:
        """Give the descriptor back."""
        self._is_closed = True
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                _close(fd)
            except OSError:
                pass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A control group with a limit."""

    limit_bytes: int
    usage: _File
    stat: _File
    reclaimable: re.Pattern[bytes]

    def left(self) -> int | None:
        usage = self.usage.read().strip()
        if not usage.isdigit():
            return None
        found = self.reclaimable.search(self.stat.read())
        return max(0, self.limit_bytes - int(usage) + (int(found[1]) if found else 0))


class Headroom:
    """Of this process; which groups that is in is looked for once.

    Args:
        root: Of the file system; another one has the files of another machine.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._meminfo = _File(str(root / "proc/meminfo"))
        self._groups = [*_groups(root)]

    def __call__(self) -> int | None:
        """Bytes that are left; None where this system does not say. 20 us, 60 more a group."""
        found = _search_available(self._meminfo.read())
        left = [None if found is None else int(found[1]) * 1024]
        left += [group.left() for group in self._groups]
        known = [each for each in left if each is not None]
        return min(known) if known else None

    def close(self) -> None:
        """Give the descriptors back; later calls know nothing."""
        self._meminfo.close()
        for group in self._groups:
            group.usage.close()
            group.stat.close()


def _groups(root: Path) -> Iterator[_Group]:
    """Those of this process that have a limit now, and those above them."""
    for line in _bytes(str(root / "proc/self/cgroup")).decode("utf-8", "replace").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            # In the hybrid layout the second version is mounted beside the first one, without
            # memory.
            mount, names = root / _MOUNTS, _V2
        elif "memory" in controllers.split(","):
            mount, names = root / _MOUNTS / "memory", _V1
        else:
            continue
        # Seen from inside of a container the path may be that of the host: then only the mount is.
        steps = [step for step in path.split("/") if step and step != ".."]
        for count in range(len(steps), -1, -1):
            folder = mount.joinpath(*steps[:count])
            limit = _number(f"{folder}/{names[0]}")
            if limit is not None and limit < _UNLIMITED_BYTES:
                yield _Group(
                    limit_bytes=limit,
                    usage=_File(f"{folder}/{names[1]}"),
                    stat=_File(f"{folder}/memory.stat"),
                    reclaimable=names[2],
                )


def _number(path: str) -> int | None:
    data = _bytes(path).strip()
    return int(data) if data.isdigit() else None


def _bytes(path: str) -> bytes:
    try:
        fd = _open(path, _READ_ONLY)
    except OSError:
        return b""
    try:
        return _read(fd, _MOST_BYTES)
    except OSError:
        return b""
    finally:
        _close(fd)
