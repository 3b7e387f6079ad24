"""A storm of processes: the worker that starts them is held still while they are counted.

Called by the watch of a cell at each of its looks. A bomb of bash starts some thousand processes a
second, and who counts them is one of a thousand that want a processor: it counts too late. So what
costs next to nothing is read, the number of tasks of the whole system, and where that rises by
hundreds the process groups of the worker are stopped before anybody counts. Either they are too
many, and die as they stand, or they go on and have lost some milliseconds.

A program that leaves its group is not held. What somebody else has stopped before stays so: there
the second SIGSTOP is pending, and only there; SIGCONT takes it away.

Source: proc_loadavg(5), its fourth field; proc_pid_status(5), State and ShdPnd; signal(7).
"""

import os
import re
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from flow_kernel.workers import sweep, tree

_LOADAVG: Final = Path("/proc/loadavg")
_RUSH: Final = 100
"""So many tasks more within the window are worth a count. A large pool of threads is some."""
_WINDOW_S: Final = 1.0
_STOP: Final = getattr(signal, "SIGSTOP", None)
_CONTINUE: Final = getattr(signal, "SIGCONT", None)
_search_stopped: Final = re.compile(rb"\nState:\tT(?s:.*)\nShdPnd:\t(\w+)").search


class Storm:
    """Whether one worker has begun one.

    Args:
        pid: Of the worker.
        tag: Its own, see `tree.look`.
    """

    def __init__(self, pid: int, tag: str | None) -> None:
        self._pid = pid
        self._tag = tag
        self._totals: deque[tuple[float, int]] = deque()

    @contextmanager
    def watched(self) -> Iterator[tree.Usage | None]:
        """In a storm the worker stands still until the block is left; about 10 us without one.

        Yields:
            What its tree uses; None where tasks have not become many more.
        """
        total = _tasks()
        if total is None or not self._rises(total):
            yield None
            return
        with held(self._pid):
            yield tree.look(self._pid, self._tag)

    def _rises(self, total: int) -> bool:
        now_s = time.monotonic()
        totals = self._totals
        while totals and now_s - totals[0][0] > _WINDOW_S and len(totals) > 1:
            totals.popleft()
        has_risen = bool(totals) and total - min(before for _, before in totals) > _RUSH
        if has_risen:
            totals.clear()  # what was counted is not counted again
        totals.append((now_s, total))
        return has_risen


@contextmanager
def held(pid: int) -> Iterator[None]:
    """The process groups of `pid` and of its children stand still."""
    groups = []
    try:
        for group in _groups_of(pid):
            with suppress(OSError):
                os.killpg(group, _STOP or 0)
                groups.append(group)
        yield
    finally:
        stopped: list[int] = []
        try:
            stopped = [each for each in (pid, *sweep.descendants(pid)) if _was_stopped(each)]
        finally:  # whatever has failed: nothing of it may stand for ever
            for group in groups:
                with suppress(OSError):
                    os.killpg(group, _CONTINUE or 0)
        for each in stopped:
            with suppress(OSError):
                os.kill(each, _STOP or 0)


def _groups_of(pid: int) -> Iterator[int]:
    """Its own first: what it starts is among it, or is listed once it stands still."""
    if _STOP is None:
        return
    seen = {os.getpgrp()}
    for member in _with_children(pid):
        with suppress(OSError):
            group = os.getpgid(member)
            if group not in seen:
                seen.add(group)
                yield group


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    yield from sweep.children(pid)  # asked for once `pid` has been dealt with


def _was_stopped(pid: int) -> bool:
    """True for one of those that stand still that did so before."""
    try:
        found = _search_stopped(Path(f"/proc/{pid}/status").read_bytes())
    except OSError:
        return False
    return found is not None and bool(int(found[1], 16) >> int(_STOP or 1) - 1 & 1)


def _tasks() -> int | None:
    """Of the whole system, threads among them; None where it does not say."""
    try:
        return int(_LOADAVG.read_bytes().split()[3].partition(b"/")[2])
    except (OSError, ValueError, IndexError):
        return None
