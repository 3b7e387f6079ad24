"""Which of the cells that wait for a worker is next (pure).

Called by `turnstile`, which asks again whenever a cell comes, goes or gives up.

The greatest priority first; of equal ones those that somebody waits for, or that want a worker of a
name, whose cells come in their order; then whoever came first.
A cell that waits for one worker, or for one worker more, keeps nobody else from theirs. One that
waits for memory, processors or disk keeps those that want the same: else small ones would pass a
large one for ever.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A cell that waits.

    Attributes:
        ticket: Counted from 1: who came first.
        priority: The greatest is served first.
        worker: The name of the one that it wants; None for any new one.
        memory_bytes: That it may take; 0 where it does not say.
        cores: Processors, likewise.
        disk_bytes: Likewise.
        is_background: True where nobody waits for it.
    """

    ticket: int
    priority: int = 0
    worker: str | None = None
    memory_bytes: int = 0
    cores: float = 0.0
    disk_bytes: int = 0
    is_background: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is.

    Attributes:
        workers: So many more may be begun.
        memory_bytes: That is not promised to anybody.
        cores: Likewise.
        disk_bytes: Free, and not promised to anybody.
        is_disk_promised: True where the end of a cell may make room there.
        is_empty: True where no cell runs.
        named: Workers that live.
        busy: Those among them that run a cell.
    """

    workers: int
    memory_bytes: int
    is_empty: bool
    named: Collection[str]
    busy: Collection[str]
    cores: float = 0.0
    disk_bytes: int = 0
    is_disk_promised: bool = False


_SHARED: Final = ("memory_bytes", "cores", "disk_bytes")


def next_of(waiting: Iterable[Wanted], room: Room) -> Wanted | None:
    """Who may begin now; None where all have to wait."""
    short: set[str] = set()
    for one in sorted(waiting, key=_rank):
        if one.worker is not None and one.worker in room.busy:
            continue
        if (one.worker is None or one.worker not in room.named) and room.workers <= 0:
            continue
        asked = {name for name in _SHARED if getattr(one, name)}
        if asked & short or any(getattr(one, name) > getattr(room, name) for name in asked):
            short |= asked
            continue
        return one
    return None


def _rank(wanted: Wanted) -> tuple[int, bool, int]:
    is_last = wanted.is_background and wanted.worker is None
    return -wanted.priority, is_last, wanted.ticket


def is_hopeless(wanted: Wanted, room: Room) -> bool:
    """True where nothing that runs will make room for it: it would wait for ever."""
    if wanted.disk_bytes > room.disk_bytes and not room.is_disk_promised:
        return True
    is_new = wanted.worker is None or wanted.worker not in room.named
    return room.is_empty and is_new and room.workers <= 0
