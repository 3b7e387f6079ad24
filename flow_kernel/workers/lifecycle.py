"""The life of a worker as a table (pure).

Called by `pool`, which acts on what it says.

    starting ──ready──▶ idle ──begin──▶ busy ──end──▶ idle
        │                 │             │  ▲
        │                 │        block│  │progress
        │                 │             ▼  │
        │                 │           blocked ──end──▶ idle
        └──────died───────┴──died──────┴──died──▶ dead          failed: starting ──▶ error ──▶ dead
"""

from enum import StrEnum
from typing import Final

from flow_kernel.errors import IllegalTransition


class State(StrEnum):
    """What a worker is doing, as `%workers` shows it."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    BLOCKED = "blocked"
    ERROR = "error"
    DEAD = "dead"


class Event(StrEnum):
    """What can happen to one."""

    READY = "ready"
    FAILED = "failed"
    BEGIN = "begin"
    END = "end"
    BLOCK = "block"
    PROGRESS = "progress"
    DIED = "died"


BEGUN: Final = (State.IDLE, State.BUSY)
"""The first state that people are told of; a copy of the session has its cell from the start."""

_TABLE: Final = {
    (State.STARTING, Event.READY): State.IDLE,
    (State.STARTING, Event.FAILED): State.ERROR,
    (State.IDLE, Event.BEGIN): State.BUSY,
    (State.BUSY, Event.END): State.IDLE,
    (State.BUSY, Event.BLOCK): State.BLOCKED,
    (State.BLOCKED, Event.PROGRESS): State.BUSY,
    (State.BLOCKED, Event.END): State.IDLE,
} | {(state, Event.DIED): State.DEAD for state in State}


def step(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        IllegalTransition: It cannot happen in that state.
    """
    try:
        return _TABLE[state, event]
    except KeyError:
        raise IllegalTransition(f"a worker that is {state} cannot {event}") from None


def can(state: State, event: Event) -> bool:
    """True where `step` would not raise."""
    return (state, event) in _TABLE


class Restarts:
    """Limits how often a worker of one name is begun anew after a death.

    Args:
        most: So many deaths are followed by a new start …
        within_s: … in this time; then it stays down until somebody asks for it.
    """

    def __init__(self, most: int = 3, within_s: float = 60.0) -> None:
        self._most = most
        self._within_s = within_s
        self._deaths: list[float] = []

    def died(self, now_s: float) -> None:
        """A worker has died.

        Args:
            now_s: Of a clock that never goes back.
        """
        self._deaths = [*self._recent(now_s), now_s]

    def may_start(self, now_s: float) -> bool:
        """True when another may take its place by itself."""
        return len(self._recent(now_s)) < self._most

    def forget(self) -> None:
        """Somebody asked for a new one."""
        self._deaths = []

    def _recent(self, now_s: float) -> list[float]:
        return [when for when in self._deaths if now_s - when < self._within_s]
