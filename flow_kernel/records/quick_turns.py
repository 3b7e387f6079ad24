"""Threads take turns fifty times as often while an answer or an order is handled.

Built by `shell.opening` or `session.assembly`, one for a session; used by whatever handles a press
or an order from outside, and by a cell that goes on with an answer.

A thread that computes in Python keeps the interpreter lock for the switch interval, 5 ms. Each
statement of SQLite, each part of a message and each sync gives the lock away and may have to wait
that long for it: from a press to the cell that goes on there are dozens of these. While something
is held here the interval is short, for the whole process: no other one can be had. While nothing is
held nobody pays for it. While something is, which is 0.1 s a press, two threads that both compute
lose a seventh to changing places, and a single one nothing.

The setting is the user's. It is put back at the end of the last hold, unless somebody has set
another one meanwhile, which stays. Ours is a number that nobody else would choose, so it is known
again where a program has read it during a hold and sets it again later.

A forked child has the user's interval at once: the threads that hold ours are not in it.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flow_kernel.records.forgetful import forget_in_children

_SHORT_S: Final = 0.000097
_RESOLUTION_S: Final = 1e-6
_get: Final = sys.getswitchinterval
_set: Final = sys.setswitchinterval


class QuickTurns:
    """The switch interval of this process; safe with several threads, and with an interrupt."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ask a question
        self._holds: set[object] = set()
        self._before: float | None = None
        forget_in_children(self)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Quick turns in the block; they may be nested, and overlap in several threads."""
        hold = object()
        try:
            self.begin(hold)
            yield
        finally:
            self.end(hold)

    def begin(self, hold: object) -> None:
        """Quick turns until the `end` of the same hold, in any thread."""
        with self._lock:
            self._holds.add(hold)
            now = _get()
            if now <= _SHORT_S + _RESOLUTION_S:
                return  # short as it is, by us or by the user
            self._before = now
            _set(_SHORT_S)

    def end(self, hold: object) -> None:
        """Put the user's interval back with the last hold; harmless the second time."""
        with self._lock:
            if hold not in self._holds:
                return
            self._holds.discard(hold)
            is_ours = abs(_get() - _SHORT_S) < _RESOLUTION_S
            if not self._holds and is_ours and self._before is not None:
                _set(self._before)

    def forget(self) -> None:
        """In a forked child: nobody holds anything, nor the lock."""
        self._lock = threading.RLock()
        for hold in [*self._holds]:
            self.end(hold)
