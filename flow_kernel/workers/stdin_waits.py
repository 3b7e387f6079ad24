"""Whether a process of a tree waits for something to be typed, seen from outside.

Called by `script` while a script runs.

Linux tells the system call in which a process sleeps, and its arguments: a `read` of a descriptor
that is the pipe. One that waits for several things at once (`read -t 5`, an event loop) is not
taken for one that asks. Where the system does not tell, every script reads the end of its input.

Source: proc_pid_syscall(5).
"""

import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flow_kernel.workers.sweep import descendants

# `read` and `readv`.
_READS: Final = {"x86_64": (0, 19), "aarch64": (63, 65), "riscv64": (63, 65)}
_LOOK_S: Final = 0.05
_SHARE: Final = 50
"""A look that takes long is not taken again before so many times as long."""


class Looks:
    """One look after the other at the processes of one script.

    Args:
        inode: Of the pipe.
    """

    def __init__(self, inode: int) -> None:
        self._pipe = Path(f"pipe:[{inode}]")
        self._numbers = _READS.get(platform.machine(), ())
        self._next_s = 0.0
        self._before: tuple[int, bytes] | None = None

    def can_tell(self, pid: int) -> bool:
        """True where the system tells what `pid`, a child of this process, waits for."""
        return bool(self._numbers) and any(_calls_of(pid))

    def reader(self, root_pid: int) -> str | None:
        """The name of a program that waited at the last look and waits now; None for none.

        Args:
            root_pid: Of the tree.
        """
        now_s = time.monotonic()
        if now_s < self._next_s:
            return None
        found = self._find(root_pid)
        after_s = time.monotonic()
        self._next_s = after_s + max(_LOOK_S, _SHARE * (after_s - now_s))
        before, self._before = self._before, found
        if found is None or found != before:
            return None
        return _name_of(found[0])

    def _find(self, root_pid: int) -> tuple[int, bytes] | None:
        for pid in (root_pid, *descendants(root_pid)):
            for call in _calls_of(pid):
                words = call.split()
                if (
                    len(words) > 1
                    and words[0].isdigit()
                    and int(words[0]) in self._numbers
                    and self._is_pipe(pid, int(words[1], 16))
                ):
                    return pid, call
        return None

    def _is_pipe(self, pid: int, fd: int) -> bool:
        try:
            return Path(f"/proc/{pid}/fd/{fd}").readlink() == self._pipe
        except OSError:
            return False


def _calls_of(pid: int) -> Iterator[bytes]:
    """The call that each thread sleeps in, with its arguments; none where nobody tells."""
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            yield (thread / "syscall").read_bytes()
    except OSError:
        return


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""
