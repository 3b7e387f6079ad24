"""Where cells wait for a worker, and are let in one after the other.

Made by `pool`; called in the threads of cells. What is decided, `admission` decides.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers.admission import Room, Wanted, is_hopeless, next_of

_SLICE_S: Final = 0.1
"""A wait without an end can sleep through an interrupt that comes just before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """That a cell has been let in.

    Attributes:
        wanted: What it asked for.
        is_background: True where nobody waits for it.
    """

    wanted: Wanted
    is_background: bool


class Turnstile:
    """See the module.

    Args:
        most: So many workers, those with names that do nothing among them.
        memory_bytes: So much is promised at a time; called once somebody wants some.
        named: Workers with names that live.

    Attributes:
        on_queue: Told how many wait, whenever that changes.
    """

    def __init__(
        self,
        *,
        most: int,
        memory_bytes: Callable[[], int],
        named: Callable[[], Collection[str]],
    ) -> None:
        self._most = most
        self._memory_bytes = memory_bytes
        self._named = named
        self._changed = threading.Condition()
        self._count = 0
        self._waiting: list[Wanted] = []
        self._inside: list[Pass] = []
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
        memory_bytes: int = 0,
        is_background: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
        on_wait: Callable[[int], None] = lambda _: None,
    ) -> Iterator[None]:
        """Wait for a turn; it lasts as long as the block.

        Args:
            worker: The name of the one that is wanted; None for a new one.
            priority: The greatest is served first.
            memory_bytes: That the cell may take; 0 where it does not say.
            is_background: True where nobody waits for the cell. One that somebody waits for waits
                for such a one alone: two at a time for one worker may be waiting for one another.
            is_wanted: False once nobody waits for the cell any more.
            on_wait: Told how many are before it, if it has to wait.

        Raises:
            IsolationUnavailable: Its turn will not come, or nobody wants it any more.
        """
        entered = self._enter(
            worker=worker, priority=priority, memory_bytes=memory_bytes,
            is_background=is_background, is_wanted=is_wanted, on_wait=on_wait,
        )  # fmt: skip
        try:
            yield
        finally:
            self._leave(entered)

    def close(self) -> None:
        """Nobody is let in any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    # -- inside ------------------------------------------------------------------------------------

    def _enter(
        self, *, worker: str | None, priority: int, memory_bytes: int, is_background: bool,
        is_wanted: Callable[[], bool], on_wait: Callable[[int], None],
    ) -> Pass:  # fmt: skip
        with self._changed:
            self._refuse(worker, memory_bytes, is_background=is_background)
            self._count += 1
            wanted = Wanted(
                ticket=self._count, priority=priority, worker=worker, memory_bytes=memory_bytes
            )
            self._waiting.append(wanted)
            is_told = False
            try:
                while next_of(self._waiting, self._room()) is not wanted:
                    self._mind(wanted, is_wanted)
                    if not is_told:
                        is_told = True
                        self.on_queue(len(self._waiting))
                        on_wait(len(self._waiting) - 1)
                    self._changed.wait(_SLICE_S)
                self._mind(None, is_wanted)
                entered = Pass(wanted=wanted, is_background=is_background)
                self._inside.append(entered)
            finally:
                self._waiting.remove(wanted)
                if is_told:
                    self.on_queue(len(self._waiting))
                self._changed.notify_all()
            return entered

    def _leave(self, entered: Pass) -> None:
        with self._changed:
            self._inside.remove(entered)
            self._changed.notify_all()

    def _room(self) -> Room:
        named = set(self._named())
        # One that is being begun has no name yet, and one without a name lives as long as its cell.
        held = named | {each.wanted.worker for each in self._inside if each.wanted.worker}
        unnamed = sum(each.wanted.worker is None for each in self._inside)
        promised = sum(each.wanted.memory_bytes for each in self._inside)
        return Room(
            workers=self._most - len(held) - unnamed,
            memory_bytes=(self._memory_bytes() - promised) if self._wants_memory() else 0,
            is_empty=not self._inside,
            named=held,
            busy={each.wanted.worker for each in self._inside if each.wanted.worker},
        )

    def _wants_memory(self) -> bool:
        return any(each.memory_bytes for each in self._waiting)

    def _refuse(self, worker: str | None, memory_bytes: int, *, is_background: bool) -> None:
        watched = {each.wanted.worker for each in self._inside if not each.is_background}
        if worker is not None and worker in watched and not is_background:
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

    def _mind(self, wanted: Wanted | None, is_wanted: Callable[[], bool]) -> None:
        if self._is_closed:
            raise IsolationUnavailable("the session has ended")
        if not is_wanted():
            raise IsolationUnavailable("the cell was cancelled before it began")
        if wanted is not None and is_hopeless(wanted, self._room()):
            raise IsolationUnavailable(
                f"there are {self._most} workers already, and none of them does anything",
                hint="end one with %workers stop ID, or raise c.WorkerPool.max_workers",
            )
