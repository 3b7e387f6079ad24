"""Interrupts the cell that takes the last of the machine's memory, before the system kills for it.

Called by `session.recorder`, in its housekeeping thread, five times a second while a cell runs, and
more often the less is left: 3 GB a second can be taken. Short cells have ended before the first
look.

A cell is interrupted when both are so:

    of the memory that was available at its first look, the share `at` is gone, or will be at the
        next look, where that is milliseconds away; or no more than 64 MB are left (half, of less
        than 128), which the end of a cell may take
    what this process has grown by since then is a quarter of that at least

So whoever grows is interrupted, up to four at a time, and a small cell beside them is not. What is
measured is this process: what a cell has started (workers too) is killed before it, as a rule.
Native code that holds the GIL keeps this thread from looking, and could not be interrupted. Near
the end only its own growth is looked at, some times in a row, which takes one turn of the GIL where
the files of the system take five.
"""

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.plain import human_bytes

globals()["__builtins__"] = FROZEN_BUILTINS

_SLOW_S: Final = 0.2
_FAST_S: Final = 0.005
_BYTES_A_SECOND: Final = 20e9
"""So much that none can take it: of 4 GB a fifth at most goes between two looks."""
_RESERVE_BYTES: Final = 64_000_000
_QUICK_LOOKS: Final = 4
"""In a row at this process alone: the others may have taken or given back some meanwhile."""
_FAST_SHARE: Final = 0.5
_OWN_SHARE: Final = 0.25
_SIGINT: Final = int(signal.SIGINT)
_main_ident: Final = threading.main_thread().ident
_kill: Final = os.kill
_getpid: Final = os.getpid


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was found at one look.

    Attributes:
        left_bytes: Can still be had.
        rss_bytes: Held by this process.
    """

    left_bytes: int
    rss_bytes: int


def is_due(first: Seen, just_now: Seen | None, now: Seen, at: float) -> bool:
    """True when a cell has to be interrupted (pure).

    Args:
        first: When it was first looked at.
        just_now: Some milliseconds before `now`; None where that was longer ago.
        now: Later.
        at: The share of what was left that may be gone.
    """
    bound = _bound(first, at)
    gone, grown = first.left_bytes - now.left_bytes, now.rss_bytes - first.rss_bytes
    soon = 0 if just_now is None else max(0, just_now.left_bytes - now.left_bytes)
    return gone + soon >= bound and grown >= _OWN_SHARE * bound


def is_near(first: Seen, now: Seen, at: float) -> bool:
    """True when a cell that grows may soon have to be interrupted (pure)."""
    gone = first.left_bytes - now.left_bytes
    return gone >= _FAST_SHARE * _bound(first, at) and now.rss_bytes > first.rss_bytes


def _bound(first: Seen, at: float) -> float:
    """So much may be gone."""
    kept = min(_RESERVE_BYTES, first.left_bytes // 2)
    return min(at * first.left_bytes, first.left_bytes - kept)


def pace_s(left_bytes: int | None) -> float:
    """How long nobody needs to look (pure)."""
    if left_bytes is None:
        return _SLOW_S
    return min(_SLOW_S, max(_FAST_S, left_bytes / _BYTES_A_SECOND))


class MemoryWatch:
    """Of one session.

    Args:
        at: The share of the memory available that a cell may take; 0 for any.
        left: Says how much is left, in bytes.
        rss: Says how much this process holds, in bytes.
        say: Tells the person, under the cell.
        release: Called at the end.
        peak: Says the most that this process has held, in bytes, and keeps the GIL meanwhile.
    """

    def __init__(
        self,
        at: float,
        *,
        left: Callable[[], int | None],
        rss: Callable[[], int | None],
        say: Callable[[str], None],
        release: Callable[[], None] = lambda: None,
        peak: Callable[[], int] = lambda: 0,
    ) -> None:
        self.close: Callable[[], None] = release
        self._at = at
        self._left = left
        self._rss = rss
        self._say = say
        self._peak = peak
        self._peak_bytes = self._quick_looks = 0
        self._left_bytes: int | None = None
        self._cell: str | None = None
        self._first: Seen | None = None
        self._just_now: Seen | None = None
        self.rss_bytes: int | None = None
        """Of this process, as it was seen last."""

    @property
    def first_look_s(self) -> float:
        """How long after its start a cell has to be looked at."""
        return pace_s(self._left()) if self._at > 0 else _SLOW_S

    def look(self, running: Callable[[int], str | None]) -> float:
        """Look at the cell that runs, and interrupt it if that is due.

        Args:
            running: The id of the cell that runs in a thread now, None for none.

        Returns:
            When to look again, in seconds.
        """
        cell = running(_main_ident or 0) if self._at > 0 else None
        now = None if cell is None else self._seen_since(cell) or self._seen()
        before, self._just_now = self._just_now, None
        if now is None:
            self._cell = self._first = None
            # It begins in a moment, and a cell takes gigabytes a second.
            return pace_s(self._left_bytes) if self._at > 0 else _SLOW_S
        first = self._first if cell == self._cell else None
        if first is None:
            self._cell, self._first = cell, now
        elif is_due(first, before, now, self._at):
            self._first = now  # whoever goes on is interrupted again, for what is left
            self._interrupt(first, now, running)
        elif is_near(first, now, self._at):
            self._just_now = now
            return _FAST_S
        return pace_s(now.left_bytes)

    def _interrupt(self, first: Seen, now: Seen, running: Callable[[int], str | None]) -> None:
        if running(_main_ident or 0) == self._cell:
            self._say(
                f"the cell was interrupted: it took {human_bytes(now.rss_bytes - first.rss_bytes)}"
                f" and {human_bytes(now.left_bytes)} of memory was left, at the end of which the"
                " system kills; all variables stay; c.FlowKernel.memory_interrupt_at = 0 turns"
                " this off"
            )
            _kill(_getpid(), _SIGINT)

    def _seen_since(self, cell: str | None) -> Seen | None:
        """What the growth since the last look says; None where another look has to be taken.

        Each file that is read gives the GIL away, and 5 ms of a cell that takes it are 10 MB.
        """
        before = self._just_now if cell == self._cell else None
        if before is None or self._quick_looks >= _QUICK_LOOKS:
            return None
        peak_bytes = self._peak()
        grown = peak_bytes - self._peak_bytes
        if grown <= 0:
            return None
        self._quick_looks += 1
        self._peak_bytes = peak_bytes
        self.rss_bytes = before.rss_bytes + grown
        return Seen(left_bytes=max(0, before.left_bytes - grown), rss_bytes=self.rss_bytes)

    def _seen(self) -> Seen | None:
        self._quick_looks, self._peak_bytes = 0, self._peak()
        left, rss = self._left(), self._rss()
        self._left_bytes, self.rss_bytes = left, rss
        return None if left is None or rss is None else Seen(left_bytes=left, rss_bytes=rss)
