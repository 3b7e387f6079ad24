"""One thread at a time looks at the variables for a checkpoint, or goes back.

Used by `service`, for itself and for whatever works with it.

    alone:    no other thread is at it
    settled:  nor is a checkpoint on its way to the disk, whose thread needs no turn
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from flow_kernel.errors import StoreError
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.session.checkpoints.taking import Taking

T = TypeVar("T")

_SLICE_S: Final = 0.1


class Turns:
    """Who is at it; a turn within a turn of the same thread is the same one.

    Args:
        pending: The checkpoint that is on its way to the disk, if any.
    """

    def __init__(self, pending: Callable[[], Taking | None]) -> None:
        self._pending = pending
        self._lock = threading.RLock()
        self._later: deque[Callable[[], object]] = deque()

    def later(self, work: Callable[[], object]) -> None:
        """Leave something to whoever is the next to have a settled turn, or to catch up."""
        self._later.append(work)

    def catch_up(self) -> None:
        """Do what was left for later, unless another thread is at it."""
        with suppress(StoreError):
            self.alone(self._catch_up, within_s=0.0)

    def _catch_up(self) -> None:
        while self._later:
            self._later.popleft()()

    def alone(self, work: Callable[[], T], *, within_s: float) -> T:
        """The result of `work`, done while no other thread is at it.

        Args:
            work: What has to be done.
            within_s: How long to wait for the others.

        Raises:
            StoreError: They were not done in time.
        """
        if not self._wait(time.monotonic() + within_s):
            raise StoreError("another thread is taking a checkpoint")
        # Not by a generator: no interrupt comes between this lock and its block.
        with self._lock:
            return work()

    def settled(self, work: Callable[[], T], *, within_s: float | None = None) -> T:
        """The result of `work`, done while no other thread is at it and nothing is on its way.

        Args:
            work: What has to be done.
            within_s: How long to wait for the others; None for as long as it takes.

        Raises:
            StoreError: They were not done in time.
        """
        end = None if within_s is None else time.monotonic() + within_s
        while True:
            pending = self._pending()
            if pending is not None:
                pending.wait_for_end(_left(end))
            if (pending is not None and not pending.is_done) or not self._wait(end):
                raise StoreError("the one before it is still being written")
            with self._lock:
                if self._pending() is None:
                    self._catch_up()
                    return work()

    def _wait(self, end: float | None) -> bool:
        """Wait until the lock could be had, in slices, after each of which an interrupt is heard.

        It is given back at once: an interrupt between taking it and the block that gives it back
        would keep it for ever.
        """
        while True:
            left_s = _left(end)
            with NotedInterrupts() as held:
                is_free = self._lock.acquire(timeout=_slice(left_s))
                if is_free:
                    self._lock.release()
            held.pass_on()
            if is_free or left_s == 0:
                return is_free


def _left(end: float | None) -> float | None:
    return None if end is None else max(0.0, end - time.monotonic())


def _slice(left_s: float | None) -> float:
    return _SLICE_S if left_s is None else min(left_s, _SLICE_S)
