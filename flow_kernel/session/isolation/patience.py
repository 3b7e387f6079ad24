"""When a worker is interrupted, and when it is killed (pure).

Called by `run`, several times a second.

    cause                     SIGINT   SIGINT   stacks, SIGTERM   SIGKILL of the tree
    a person interrupts        0 s      1 s          5 s                10 s
      … each further time     the next step at once
    a limit is passed,
      or it is blocked         0 s      1 s          2 s                 3 s
    memory above its limit, twice the processes that it may have,
      more than those and than 32 in a storm, or a flood of them         at once
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

from flow_kernel.workers.limits import Limits

Cause = Literal["memory", "timeout", "cpu", "processes", "output", "blocked", "user"]
_PERSON_S: Final = (0.0, 1.0, 5.0, 10.0)
_LIMIT_S: Final = (0.0, 1.0, 2.0, 3.0)
_MEMORY_SHARE: Final = 0.9
_TOO_MANY: Final = 32
"""Beyond its limit; what forks on while it is told to stop takes the machine in seconds. Fewer are
no storm: others on the machine have begun it."""


class Step(Enum):
    """What is done to a worker, one after the other."""

    INTERRUPT = 0
    INTERRUPT_AGAIN = 1
    TERMINATE = 2
    KILL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known of a running cell.

    Attributes:
        elapsed_s: Since it began.
        rss_bytes: Of its tree; None where nobody looked.
        cpu_s: That its tree has used since it began.
        processes: In its tree.
        output_bytes: That it has said.
        interrupts: How often a person has interrupted it.
        is_blocked: True where it is certain that it does not go on, and nobody is asked about it.
        is_flooding: True where that is because of its processes.
        is_storming: True where tasks of the system become more by hundreds within a second.
    """

    elapsed_s: float
    rss_bytes: int | None = None
    cpu_s: float | None = None
    processes: int | None = None
    output_bytes: int = 0
    interrupts: int = 0
    is_blocked: bool = False
    is_flooding: bool = False
    is_storming: bool = False


class Patience:
    """Of one cell: what is to be done now, each step once.

    Args:
        limits: Of the cell.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since_s = 0.0
        self._done = 0
        self._interrupts = 0
        self.cause: Cause | None = None
        """Why it was interrupted first; None as long as it was not."""

    def next(self, seen: Seen) -> list[Step]:
        """The steps that are due.

        Args:
            seen: What is known now; its times never go back.
        """
        limit = self._passed(seen)
        if self.cause is None:
            if limit is None and not seen.interrupts:
                return []
            self.cause, self._since_s = limit or "user", seen.elapsed_s
        times = _PERSON_S if self.cause == "user" else _LIMIT_S
        waited_s = seen.elapsed_s - self._since_s
        due = sum(waited_s >= at_s for at_s in times)
        due = max(due, self._done + max(0, seen.interrupts - max(1, self._interrupts)))
        self._interrupts = seen.interrupts
        if limit == "memory" and _is_above(seen.rss_bytes, self._limits.memory_bytes, 1.0):
            self.cause = "memory"
            due = len(times)
        if seen.is_flooding or self._is_bomb(seen):
            due = len(times)
        steps = list(Step)[self._done : due]
        self._done = max(self._done, due)
        return steps[-1:] if Step.KILL in steps else steps

    def _is_bomb(self, seen: Seen) -> bool:
        limit = self._limits.most_processes
        if seen.processes is None or limit is None:
            return False
        most = max(limit, _TOO_MANY) if seen.is_storming else limit + max(limit, _TOO_MANY)
        return seen.processes > most

    def _passed(self, seen: Seen) -> Cause | None:
        limits = self._limits
        if _is_above(seen.rss_bytes, limits.memory_bytes, _MEMORY_SHARE):
            return "memory"
        if _is_above(seen.elapsed_s, limits.timeout_s, 1.0):
            return "timeout"
        if _is_above(seen.cpu_s, limits.cpu_s, 1.0):
            return "cpu"
        if _is_above(seen.processes, limits.most_processes, 1.0):
            return "processes"
        if _is_above(seen.output_bytes, limits.output_bytes, 1.0):
            return "output"
        return "blocked" if seen.is_blocked else None


def _is_above(value: float | None, limit: float | None, share: float) -> bool:
    return value is not None and limit is not None and value > limit * share
