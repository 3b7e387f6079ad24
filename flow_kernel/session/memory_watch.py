"""Interrupts the cell that takes the last of the machine's memory, before the system kills for it.

Called by `session.recorder`, in its housekeeping thread, five times a second while a cell runs, and
more often the less is left. Short cells have ended before the first look.

A cell is interrupted when both are so:

    of the memory that was available at its first look, the share `at` is gone
    what this process has grown by since then is a quarter of that at least

So whoever grows is interrupted, up to four at a time, and a small cell beside them is not. What is
measured is this process: what a cell has started (workers too) is killed before it, as a rule.
Native code that holds the GIL keeps this thread from looking, and could not be interrupted.
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

SLOW_S: Final = 0.2
_FAST_S: Final = 0.02
_FAST_SHARE: Final = 0.5
_OWN_SHARE: Final = 0.25
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


def is_due(first: Seen, now: Seen, at: float) -> bool:
    """True when a cell has to be interrupted (pure).

    Args:
        first: When it was first looked at.
        now: Later.
        at: The share of what was left that may be gone.
    """
    bound = at * first.left_bytes
    gone, grown = first.left_bytes - now.left_bytes, now.rss_bytes - first.rss_bytes
    return gone >= bound and grown >= _OWN_SHARE * bound


def next_look_s(first: Seen, now: Seen, at: float) -> float:
    """When to look again (pure)."""
    gone, grown = first.left_bytes - now.left_bytes, now.rss_bytes - first.rss_bytes
    is_near = gone >= _FAST_SHARE * at * first.left_bytes
    return _FAST_S if is_near and grown > 0 else SLOW_S


class MemoryWatch:
    """Of one session.

    Args:
        at: The share of the memory available that a cell may take; 0 for any.
        left: Says how much is left, in bytes.
        rss: Says how much this process holds, in bytes.
        say: Tells the person, under the cell.
    """

    def __init__(
        self,
        at: float,
        *,
        left: Callable[[], int | None],
        rss: Callable[[], int | None],
        say: Callable[[str], None],
    ) -> None:
        self._at = at
        self._left = left
        self._rss = rss
        self._say = say
        self._cell: str | None = None
        self._first: Seen | None = None

    def look(self, running: Callable[[int], str | None]) -> float:
        """Look at the cell that runs, and interrupt it if that is due.

        Args:
            running: The id of the cell that runs in a thread now, None for none.

        Returns:
            When to look again, in seconds.
        """
        cell = running(_main_ident or 0) if self._at > 0 else None
        now = None if cell is None else self._seen()
        if now is None:
            self._cell = self._first = None
            return SLOW_S
        if cell != self._cell or self._first is None:
            self._cell, self._first = cell, now
            return SLOW_S
        first = self._first
        if not is_due(first, now, self._at):
            return next_look_s(first, now, self._at)
        self._first = now  # whoever goes on is interrupted again, for what is left
        if running(_main_ident or 0) == cell:
            self._say(
                f"the cell was interrupted: it took {human_bytes(now.rss_bytes - first.rss_bytes)}"
                f" and {human_bytes(now.left_bytes)} of memory was left, at the end of which the"
                " system kills; all variables stay; c.FlowKernel.memory_interrupt_at = 0 turns"
                " this off"
            )
            _kill(_getpid(), signal.SIGINT)
        return SLOW_S

    def _seen(self) -> Seen | None:
        left, rss = self._left(), self._rss()
        return None if left is None or rss is None else Seen(left_bytes=left, rss_bytes=rss)
