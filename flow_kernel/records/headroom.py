"""How much memory this process can still get before the system ends it.

Called by `session.memory_watch` while a cell runs.

The least of what the machine has available and of what is left in each control group that the
process is in, both versions. Pages that a group can give back at once (inactive files) count as
left, as in `MemAvailable`. Swap does not: who needs it is near the end already.

Source: proc_meminfo(5), cgroups(7), the kernel's cgroup-v1/memory and cgroup-v2.
"""

import os
import re
from collections.abc import Iterator
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
_MOUNTS: Final = "sys/fs/cgroup"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A control group with a limit."""

    limit: str
    usage: str
    stat: str
    reclaimable: re.Pattern[bytes]

    def left(self) -> int | None:
        limit, usage = _number(self.limit), _number(self.usage)
        if limit is None or usage is None or limit >= _UNLIMITED_BYTES:
            return None
        found = self.reclaimable.search(_bytes(self.stat))
        return max(0, limit - usage + (int(found[1]) if found else 0))


class Headroom:
    """Of this process; it is looked for once in which groups that is.

    Args:
        root: Of the file system; another one has the files of another machine.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._meminfo = str(root / "proc/meminfo")
        self._groups = [*_groups(root)]

    def __call__(self) -> int | None:
        """Bytes that are left; None where this system does not say. 20 us, 60 more a group."""
        found = _search_available(_bytes(self._meminfo))
        left = [None if found is None else int(found[1]) * 1024]
        left += [group.left() for group in self._groups]
        known = [each for each in left if each is not None]
        return min(known) if known else None


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
            group = _Group(
                limit=f"{folder}/{names[0]}",
                usage=f"{folder}/{names[1]}",
                stat=f"{folder}/memory.stat",
                reclaimable=names[2],
            )
            if group.left() is not None:
                yield group


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
