"""What is different about workers that no zygote has forked.

Called by `service`: how variables travel to them, what they cannot be held to, and what a person is
told once.

    kind              variables                    cwd, path   limits of CPU, processes
    zygote, spawn     memory that both see         followed    held
    remote            buffers of the messages      its own     refused: it is out of sight
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers import transfer
from flow_kernel.workers.limits import Limits, Requirements
from flow_kernel.workers.sweep import HAS_PROC
from flow_kernel.workers.worker import Worker


class Shipment(NamedTuple):
    """Variables on their way: what the request says of them, and what goes with it."""

    said: dict[str, Any]
    buffers: Sequence[bytes]


class Freight:
    """Carries variables to the workers of one session, which may run at the same time.

    An arena holds what one worker is about to receive; afterwards the next worker may have it.
    """

    def __init__(self) -> None:
        self._idle: list[transfer.Arena] = []
        self._loaded: dict[str, transfer.Arena] = {}

    def load(self, packed: transfer.Packed, worker: Worker) -> Shipment:
        """Make ready what goes to a worker; it has to be received before its next one is.

        Raises:
            OSError: There is no room.
        """
        if not shares_memory(worker):
            return Shipment(*transfer.inline(packed))
        arena = self._loaded.get(worker.worker_id)
        if arena is None:
            try:
                arena = self._idle.pop()
            except IndexError:
                arena = transfer.Arena()
            self._loaded[worker.worker_id] = arena
        return Shipment(transfer.ship(packed, arena), ())

    def landed(self, worker: Worker) -> None:
        """A worker has received what it was sent, or is dead."""
        arena = self._loaded.pop(worker.worker_id, None)
        if arena is not None:
            arena.trim()
            self._idle.append(arena)

    @property
    def nbytes(self) -> int:
        """How much memory it holds."""
        return sum(arena.nbytes for arena in [*self._idle, *self._loaded.values()])

    def close(self) -> None:
        """Give back what it took."""
        for arena in [*self._idle, *self._loaded.values()]:
            arena.close()


def shares_memory(worker: Worker) -> bool:
    """True where a worker can open memory of this process."""
    return HAS_PROC and not worker.is_far


def refuse_limits(limits: Limits, needs: Requirements) -> None:
    """Refuse what a worker on another machine cannot be held to, and what nobody knows there.

    Raises:
        IsolationUnavailable: A limit of CPU time or of processes, processors or disk required.
    """
    if needs.cores or needs.disk_bytes:
        raise IsolationUnavailable(
            "what another machine has of processors and disk is not known; nothing was run",
            hint="leave these requirements out",
        )
    named = {"cpu": limits.cpu_s, "processes": limits.processes}
    asked = [f"--{name}" for name, limit in named.items() if limit is not None]
    if asked:
        raise IsolationUnavailable(
            f"a worker on another machine cannot be held to {' and '.join(asked)}; nothing was run",
            hint="try --timeout, which holds anywhere",
        )


def news_of(worker: Worker) -> str | None:
    """What a person is told of a worker that is another one than was wanted; None for nothing."""
    if not worker.is_makeshift:
        return None
    return (
        "isolated cells run in workers that are started as programs, which takes longer: no"
        f" fork was possible ({worker.reason}); "
        'c.WorkerPool.provisioner = "local-provisioner" makes that the rule'
    )
