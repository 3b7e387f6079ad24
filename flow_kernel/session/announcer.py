"""Tells agents what happens in a session, in signed lines; silent until one asks.

Built by `session.assembly`; whatever changes the state of a session calls `emit`, the shell gives
the way out (`connect`) and answers `register`.

    off ──FLOW_EVENTS=1, or an agent registers──▶ on        FLOW_EVENTS=0: never

Only `register` gives the key away. Nothing here raises into the user's cell, and a forked child of
a cell is silent.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from flow_kernel.records.agent_events import encode
from flow_kernel.records.event_budget import ALWAYS, EventBudget
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

MODES: Final = ("auto", "1", "0")
_KEPT: Final = 20
_getpid: Final = os.getpid
_monotonic: Final = time.monotonic

Scalar = str | int | float | bool | None


class Emit(Protocol):
    """Tells of one event; free while nobody listens."""

    def __call__(self, name: str, /, **fields: Scalar) -> None:
        """Tell of the event `name`; never raises."""


class Outlet(Protocol):
    """The way to whoever reads the session's output; given by the shell."""

    def begin(self) -> None:
        """Events are on from now."""

    def put(self, line: str) -> None:
        """Send a line, after what was printed before it."""


def silent(_name: str, /, **_fields: Scalar) -> None:
    """An `Emit` that tells nobody."""


class Registration(NamedTuple):
    """What an agent gets that registers.

    Attributes:
        session: 32 hex.
        nonce: 16 hex.
        key: 64 hex.
        seq: The number of the last event so far.
        is_on: False when there will be none.
        reason: Why not; empty when there will.
    """

    session: str
    nonce: str
    key: str
    seq: int
    is_on: bool
    reason: str


class Announcer:
    """The events of one session; safe with several threads.

    Args:
        session: 32 hex.
        mode: One of `MODES`.
        now_s: A clock that does not jump.
    """

    def __init__(
        self, session: str, *, mode: str = "auto", now_s: Callable[[], float] = _monotonic
    ) -> None:
        self._session = session
        self._mode = mode
        self._now_s = now_s
        self._key = os.urandom(32)
        self._nonce = os.urandom(8).hex()
        self._seq = 0
        self._pid = _getpid()
        self._lock = threading.RLock()  # a finalizer may tell something while we do
        self._budget = EventBudget()
        self._outlet: Outlet | None = None
        self._put: Callable[[str], None] | None = None
        self._kept: deque[tuple[str, dict[str, Scalar]]] = deque(maxlen=_KEPT)

    @property
    def is_on(self) -> bool:
        """True while events are told."""
        return self._put is not None

    @property
    def seq(self) -> int:
        """The number of the last event."""
        return self._seq

    def emit(self, name: str, /, **fields: Scalar) -> None:
        """Tell of an event, within the budget of the cell; never raises.

        Args:
            name: One of `agent_events.NAMES`.
            fields: As its schema says; None says nothing and is left out.
        """
        if self._put is None or _getpid() != self._pid:
            return
        if name in ALWAYS or self._budget.admits(name, self._now_s()):
            self._tell(name, fields)

    def keep(self, name: str, /, **fields: Scalar) -> None:
        """Tell of an event when the next cell begins, or once somebody listens."""
        self._kept.append((name, fields))

    def begin_cell(self) -> None:
        """Tell what was kept for the next cell."""
        while self._put is not None and self._kept:
            name, fields = self._kept.popleft()
            self.emit(name, **fields)

    def end_cell(self) -> None:
        """Tell how many events of this cell were not, and begin the budget anew."""
        if self._put is None or _getpid() != self._pid:
            return
        dropped = self._budget.end_cell()
        if dropped:
            self._tell("task_output", {"dropped": dropped})

    def connect(self, outlet: Outlet) -> None:
        """Events go to `outlet`, as soon as they are on."""
        self._outlet = outlet
        if self._mode == "1":
            self._switch_on(outlet)

    def disconnect(self) -> None:
        """There is no way out any more."""
        self._outlet = self._put = None

    def register(self) -> Registration:
        """An agent wants events: they are on from now, where they may be."""
        reason = ""
        if self._mode == "0":
            reason = "FLOW_EVENTS=0"
        elif self._outlet is None:
            reason = "the output of this shell cannot be guarded"
        elif self._put is None:
            self._switch_on(self._outlet)
        return Registration(
            self._session, self._nonce, self._key.hex(), self._seq, self.is_on, reason
        )

    def _switch_on(self, outlet: Outlet) -> None:
        outlet.begin()
        self._put = outlet.put

    def _tell(self, name: str, fields: dict[str, Scalar]) -> None:
        said: dict[str, Scalar] = {
            name: value for name, value in fields.items() if value is not None
        }
        # Numbered and sent under one lock: a reader refuses a number that comes too late.
        with self._lock:
            try:
                self._send(name, said)
            except Exception:  # noqa: BLE001 - the state has changed; a line that fails must not undo it
                return

    def _send(self, name: str, fields: dict[str, Scalar]) -> None:
        put = self._put
        if put is not None:
            line = encode(
                name,
                fields,
                key=self._key,
                session=self._session,
                nonce=self._nonce,
                seq=self._seq + 1,
            )
            self._seq += 1
            put(line)
