"""Where cells wait for a worker, and are let in one after the other.

Made by `pool`; called in the threads of cells. What is decided, `admission` decides: once for each
change, and only whoever has something to look at is woken, or hundreds that wait would keep the
session busy.
"""

import itertools
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.records.plain import human_bytes
from flow_kernel.workers.admission import Room, Wanted, is_hopeless, next_of
from flow_kernel.workers.limits import Requirements

_NOTHING: Final = Requirements()
_SLICE_S: Final = 0.1
"""A wait without an end can sleep through an interrupt that comes just before it."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Place:
    """Of one cell, from its coming to its going.

    Attributes:
        wanted: What it asks for.
        is_background: True where nobody waits for it.
        is_wanted: False once nobody waits for the cell any more.
        woken: Set where its thread has something to look at; None as long as it does not wait.
    """

    wanted: Wanted
    is_background: bool
    is_wanted: Callable[[], bool]
    woken: threading.Event | None = None

    def wake(self) -> None:
        """Have its thread look."""
        if self.woken is not None:
            self.woken.set()


class Turnstile:
    """See the module.

    Args:
        most: So many workers, those with names that do nothing among them.
        memory_bytes: So much is promised at a time; called once somebody wants some.
        named: Workers with names that live.
        cores: So many processors are promised at a time; likewise.
        free_bytes: Of the disk, now; likewise.

    Attributes:
        on_queue: Told how many wait, whenever that changes.
    """

    def __init__(
        self,
        *,
        most: int,
        memory_bytes: Callable[[], int],
        named: Callable[[], Collection[str]],
        cores: Callable[[], float],
        free_bytes: Callable[[], int],
    ) -> None:
        self._most = most
        self._memory_bytes = memory_bytes
        self._named = named
        self._cores = cores
        self._free_bytes = free_bytes
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        self._told = 0
        self._waiting: dict[int, _Place] = {}
        self._inside: dict[int, _Place] = {}
        self._is_closed = False
        self.on_queue: Callable[[int], object] = lambda _: None

    @property
    def queue(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextmanager
    def turn(
        self,
        *,
        worker: str | None,
        priority: int = 0,
        needs: Requirements = _NOTHING,
        is_background: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
        on_wait: Callable[[int], None] = lambda _: None,
    ) -> Iterator[None]:
        """Wait for a turn; it lasts as long as the block.

        Args:
            worker: The name of the one that is wanted; None for a new one.
            priority: The greatest is served first.
            needs: What is promised to the cell.
            is_background: True where nobody waits for the cell. One that somebody waits for waits
                for such a one alone: two at a time for one worker may be waiting for one another.
            is_wanted: False once nobody waits for the cell any more.
            on_wait: Told how many are before it, if it has to wait.

        Raises:
            IsolationUnavailable: Its turn will not come, or nobody wants it any more.
        """
        ticket = next(self._tickets)
        wanted = Wanted(
            ticket=ticket, priority=priority, worker=worker, is_background=is_background,
            memory_bytes=needs.memory_bytes, cores=needs.cores, disk_bytes=needs.disk_bytes,
        )  # fmt: skip
        place = _Place(wanted=wanted, is_background=is_background, is_wanted=is_wanted)
        try:
            self._wait(place, on_wait)
            yield
        finally:
            self._leave(place)

    def look_again(self) -> None:
        """A worker is gone, or somebody has given up."""
        with self._lock:
            self._admit()

    def close(self) -> None:
        """Nobody is let in any more."""
        with self._lock:
            self._is_closed = True
            for place in self._waiting.values():
                place.wake()

    # -- inside ------------------------------------------------------------------------------------

    def _wait(self, place: _Place, on_wait: Callable[[int], None]) -> None:
        ticket = place.wanted.ticket
        with self._lock:
            self._refuse(place)
            self._waiting[ticket] = place
            self._admit()
            if self._may_begin(place):
                return
            woken = place.woken = threading.Event()
            before = len(self._waiting) - 1
        on_wait(before)
        is_inside = False
        while not is_inside:
            woken.wait(None if place.is_background else _SLICE_S)
            woken.clear()
            with self._lock:
                is_inside = self._may_begin(place)

    def _leave(self, place: _Place) -> None:
        with NotedInterrupts() as held, self._lock:  # its room would be lost for ever
            self._waiting.pop(place.wanted.ticket, None)
            self._inside.pop(place.wanted.ticket, None)
            self._admit()
        held.pass_on()

    def _admit(self) -> None:
        """Let in whoever may begin, and wake who will not; to be called with the lock."""
        while self._waiting:
            room = self._room()
            found = next_of((each.wanted for each in self._waiting.values()), room)
            if found is None:
                for each in self._waiting.values():
                    if not each.is_wanted() or is_hopeless(each.wanted, room):
                        each.wake()
                break
            place = self._inside[found.ticket] = self._waiting.pop(found.ticket)
            place.wake()
        if len(self._waiting) != self._told:
            self._told = len(self._waiting)
            self.on_queue(self._told)

    def _room(self) -> Room:
        inside = [each.wanted for each in self._inside.values()]
        busy = {each.worker for each in inside if each.worker}
        # One that is being begun has no name yet, and one without a name lives as long as its cell.
        held = busy.union(self._named())
        promised = sum(each.memory_bytes for each in inside)
        waiting = [each.wanted for each in self._waiting.values()]
        on_disk = sum(each.disk_bytes for each in inside)
        wants_cores = any(each.cores for each in waiting)
        wants_disk = any(each.disk_bytes for each in waiting)
        return Room(
            workers=self._most - len(held) - sum(each.worker is None for each in inside),
            memory_bytes=(self._memory_bytes() - promised)
            if any(each.memory_bytes for each in waiting)
            else 0,
            cores=(self._cores() - sum(each.cores for each in inside)) if wants_cores else 0.0,
            disk_bytes=(self._free_bytes() - on_disk) if wants_disk else 0,
            is_disk_promised=on_disk > 0,
            is_empty=not inside,
            named=held,
            busy=busy,
        )

    def _refuse(self, place: _Place) -> None:
        worker, memory_bytes = place.wanted.worker, place.wanted.memory_bytes
        inside = self._inside.values()
        watched = {each.wanted.worker for each in inside if not each.is_background}
        if worker is not None and worker in watched and not place.is_background:
            raise IsolationUnavailable(
                f"the worker {worker} is busy: it runs one cell at a time",
                hint="name another one with --worker, or take a new one with --fresh",
            )
        if memory_bytes and memory_bytes > self._memory_bytes():
            raise IsolationUnavailable(
                f"all workers together may take {self._memory_bytes() / 1e9:,.1f} GB, and this cell"
                f" asks for {memory_bytes / 1e9:,.1f} GB",
                hint="ask for less with --memory, or raise c.WorkerPool.memory_budget",
            )
        if place.wanted.cores and place.wanted.cores > self._cores():
            raise IsolationUnavailable(
                f"the cell requires {place.wanted.cores:g} processors, and this machine has"
                f" {self._cores():g} for it; nothing was run",
                hint="require fewer",
            )

    def _may_begin(self, place: _Place) -> bool:
        is_inside = place.wanted.ticket in self._inside
        if self._is_closed:
            raise IsolationUnavailable("the session has ended")
        if not place.is_wanted():
            raise IsolationUnavailable("the cell was cancelled before it began")
        if not is_inside:
            self._mind_hope(place.wanted)
        return is_inside

    def _mind_hope(self, wanted: Wanted) -> None:
        room = self._room()
        if not is_hopeless(wanted, room):
            return
        if wanted.disk_bytes > room.disk_bytes:
            raise IsolationUnavailable(
                f"the cell requires {human_bytes(wanted.disk_bytes)} on the disk of the working"
                f" directory, where {human_bytes(room.disk_bytes)} are free; nothing was run",
                hint="make room there, or require less",
            )
        raise IsolationUnavailable(
            f"there are {self._most} workers already, and none of them does anything",
            hint="end one with %workers stop ID, or raise c.WorkerPool.max_workers",
        )
