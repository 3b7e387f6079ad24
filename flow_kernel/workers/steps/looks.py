"""Looks at a step that has run for a while: its limits, and whether it still goes on.

Made by `watch`. Only what is certain ends a step: nobody is there to be asked. See
`workers.blocking` for what is seen of it.
"""

import asyncio
import os
from collections.abc import Callable
from mmap import mmap
from typing import Final

from flow_kernel.records.process import oom_kills
from flow_kernel.workers import thread_looks, tree
from flow_kernel.workers.blocking import QUIET_S, Detector, Finding, Sample
from flow_kernel.workers.death import Killer
from flow_kernel.workers.glimpses import Glimpse, Glimpses
from flow_kernel.workers.steps.block_words import document, last_line, stack_lines
from flow_kernel.workers.steps.running import Running
from flow_kernel.workers.steps.seen import SLOT_BYTES
from flow_kernel.workers.thread_looks import Doing

_FIRST_S: Final = 0.1
_MEMORY_S: Final = 0.02
"""Between two looks where memory is limited: a gigabyte is filled in less than a second."""
_MOST_S: Final = 0.5
_SEARCHING_S: Final = 0.4
_LAST_LOOK_S: Final = 0.4
"""The longest that a step is waited for to say where it stands; it may have to load what looks."""
_SEEN_S: Final = 0.02
_STUCK: Final = (Doing.COMPUTING, Doing.LOCK, Doing.UNKNOWN)
"""Who does something else is not asked to look at its code: that would end a `signal.pause`."""
_KILLERS: Final[dict[str, Killer]] = {"over_limit": "memory", "processes": "processes"}


class Looks:
    """Those at one step.

    Args:
        running: It.
        began_s: When it was begun, on the clock of the loop.
        ask: Has it look into its code.
        glimpses: Where it shows itself; None for nowhere.
        tag: Of its processes.
    """

    def __init__(
        self, running: Running, began_s: float, *, ask: Callable[[str], object],
        glimpses: Glimpses | None, tag: str,
    ) -> None:  # fmt: skip
        self._running = running
        self._ask = ask
        self._tag = tag
        self._loop = asyncio.get_running_loop()
        self._began_s = began_s
        self._timer: asyncio.TimerHandle | None = None
        self._glimpses = glimpses
        limits = running.job.limits
        self._detector = Detector(memory_bytes=limits.memory_bytes, cores=os.cpu_count() or 1)
        self._pid = 0
        self._has_asked = False
        self._interval_s = _FIRST_S
        self._searched_s = 0.0
        self._last: asyncio.TimerHandle | None = None

    def begin(self, pid: int) -> None:
        """It is this process."""
        if not self._pid:
            self._pid = pid
            self._running.oom_kills = oom_kills()
            self._look()

    def close(self) -> None:
        """It has ended; where it stood last is told, if it was killed."""
        for timer in (self._timer, self._last):
            if timer is not None:
                timer.cancel()
        running = self._running
        if running.killed_by is not None and (glimpse := self._glimpse()) is not None:
            running.last_line = running.last_line or last_line(glimpse.stack, running.job)

    def end_in_time(self) -> None:
        """Have it killed, its time is up; before that it is to say where it stands."""
        asked = self._ask_for_looks()
        self._await_look(self._loop.time() + (_LAST_LOOK_S if asked else 0.0))

    # -- inside ------------------------------------------------------------------------------------

    def _look(self) -> None:
        at_s = self._loop.time() - self._began_s
        has_limit = self._running.job.limits.memory_bytes is not None
        searches = at_s - self._searched_s >= _SEARCHING_S
        usage = tree.look(self._pid, self._tag if searches else None)
        if searches:
            self._searched_s = at_s
        if usage is None:
            return
        self._see(at_s, usage)
        self._interval_s = min(self._interval_s * 1.5, _MOST_S)
        wait_s = min(self._interval_s, self._detector.interval_s) if at_s > QUIET_S else _FIRST_S
        self._timer = self._loop.call_later(_MEMORY_S if has_limit else wait_s, self._look)

    def _see(self, at_s: float, usage: tree.Usage) -> None:
        killer = self._passed(usage)
        if killer is not None:
            self._running.end_for(killer)
            return
        if at_s <= QUIET_S:
            return
        sample = self._sample(at_s, usage)
        if sample.main is not None and sample.main.doing in _STUCK:
            self._ask_for_looks()
        found = self._detector.see(sample)
        if found is not None and found.confidence == "certain":
            self._end(found, at_s, usage)

    def _ask_for_looks(self) -> bool:
        """Have it look at its own code; False where it does so already."""
        if self._has_asked or self._glimpses is None or not self._pid:
            return False
        self._has_asked = True
        self._ask("look")
        return True

    def _await_look(self, until_s: float) -> None:
        if self._loop.time() >= until_s or self._glimpse() is not None:
            self._running.end_for("timeout")
        else:
            self._last = self._loop.call_later(_SEEN_S, self._await_look, until_s)

    def _end(self, found: Finding, at_s: float, usage: tree.Usage) -> None:
        running = self._running
        if running.killed_by is not None:
            return
        glimpse = self._glimpse()
        stack = () if glimpse is None else glimpse.stack
        running.block = document(found, at_s, usage, stack_lines(stack, running.job))
        running.last_line = last_line(stack, running.job)
        running.end_for(_KILLERS.get(found.detail, "blocked"))

    def _passed(self, usage: tree.Usage) -> Killer | None:
        limits = self._running.job.limits
        if limits.memory_bytes is not None and usage.rss_bytes > limits.memory_bytes:
            # The sum counts in each process what they share.
            share = tree.footprint(usage.pids) if usage.processes > 1 else None
            if share is None or share > limits.memory_bytes:
                return "memory"
        if limits.cpu_s is not None and usage.cpu_s > limits.cpu_s:
            return "cpu"
        if limits.most_processes is not None and usage.processes > limits.most_processes:
            return "processes"
        return None

    def _glimpse(self) -> Glimpse | None:
        glimpse = None if self._glimpses is None or not self._pid else self._glimpses.read()
        return glimpse if glimpse is not None and glimpse.msg_id == str(self._pid) else None

    def _sample(self, at_s: float, usage: tree.Usage) -> Sample:
        pid, glimpse = self._pid, self._glimpse()
        main = thread_looks.look(pid, pid)
        are_waiting, wanted_s = _others(pid, glimpse)
        return Sample(
            at_s=at_s,
            main=main,
            burnt_s=None if self._glimpses is None else thread_looks.computed_s(pid),
            number=0 if self._glimpses is None or glimpse is None else self._glimpses.number(),
            glimpse=glimpse,
            are_others_waiting=are_waiting,
            others_wanted_s=wanted_s,
            processes=usage.processes,
            rss_bytes=None,  # limits see to that
        )


def shown_in(memory: mmap | None, slot: int) -> Glimpses | None:
    """The place of one step in the memory of its host; below 0 there is none."""
    return None if memory is None or slot < 0 else Glimpses(memory, slot * SLOT_BYTES)


def _others(pid: int, glimpse: Glimpse | None) -> tuple[bool | None, float]:
    """Whether all threads that the script has begun wait without an end, and what they computed."""
    wanted_s = 0.0
    if glimpse is None or not glimpse.ours:
        return None, wanted_s
    for tid in thread_looks.threads(pid).difference(glimpse.ours):
        seen = thread_looks.look(pid, tid)
        if seen is None:
            return None, wanted_s
        if not seen.is_for_ever:
            return False, wanted_s
        wanted_s += seen.wanted_s
    return True, wanted_s
