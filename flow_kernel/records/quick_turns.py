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
again where a program has read it during a hold and sets it again later. A forked child, in which
nobody would end what is held, begins with the user's.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

_SHORT_S: Final = 0.000097
_RESOLUTION_S: Final = 1e-6
_get: Final = sys.getswitchinterval
_set: Final = sys.setswitchinterval
_turns: "Final[WeakSet[QuickTurns]]" = WeakSet()
"""Hooks of the process cannot be taken back, so there is one for all."""


class QuickTurns:
    """The switch interval of this process; safe with several threads, and with an interrupt."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ask a question
        self._holds: set[object] = set()
        self._before: float | None = None
        _turns.add(self)

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
            self._holds.discard(hold)
            if not self._holds:
                self._put_back()

    def forget(self) -> None:
        """End all holds, in a forked child: the threads that would are the parent's."""
        self._lock = threading.RLock()
        self._holds.clear()
        self._put_back()

    def _put_back(self) -> None:
        is_ours = abs(_get() - _SHORT_S) < _RESOLUTION_S
        if is_ours and self._before is not None:
            _set(self._before)


def _after_fork() -> None:
    for turns in [*_turns]:
        turns.forget()


if hasattr(os, "register_at_fork"):  # Windows forks nothing
    os.register_at_fork(after_in_child=_after_fork)
