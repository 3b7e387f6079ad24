"""Processes that are forked before they are wanted, each for one step.

Used by `host_process`. A fork takes most of its time afterwards: each page that the new process
writes to is copied then, and to look at an object is to write to it. A spare has rehearsed what
steps do, and has most of its pages by the time it is wanted.
"""

import _socket
import os

from flow_kernel.workers.steps import words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Spares:
    """Those of one host.

    Args:
        most: How many are to wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: dict[int, _socket.socket] = {}
        """The one that was forked first comes first."""
        self._leaving: set[int] = set()

    def __contains__(self, pid: int) -> bool:
        return pid in self._waiting or pid in self._leaving

    @property
    def are_wanted(self) -> bool:
        """True while fewer wait than are to."""
        return len(self._waiting) < self._most

    @property
    def are_used_up(self) -> bool:
        """True where none waits, and some are to."""
        return self._most > 0 and not self._waiting

    def fork(self) -> "_socket.socket | None":
        """Add one.

        Returns:
            In the new process where it will hear its order, else None.
        """
        try:
            ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        except OSError:
            return None
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return None
        if pid == 0:
            ours.close()
            return theirs
        theirs.close()
        self._waiting[pid] = ours
        return None

    def give(self, order: "dict[str, Any]", fds: "Sequence[int]") -> int | None:
        """Have one run a step.

        Returns:
            Its pid; None where none waits.
        """
        while self._waiting:
            pid = next(iter(self._waiting))
            sock = self._waiting.pop(pid)
            try:
                words.send(sock, order, fds)
            except OSError:
                continue  # somebody has killed it
            finally:
                sock.close()
            return pid
        return None

    def forget(self, pid: int) -> None:
        """It has ended."""
        self._leaving.discard(pid)
        sock = self._waiting.pop(pid, None)
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Let them go; they end when nobody can speak to them."""
        self._leaving.update(self._waiting)
        for sock in self._waiting.values():
            sock.close()
        self._waiting.clear()
