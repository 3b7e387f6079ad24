"""Who has sent the code that runs here, whether it is recorded or not (pure).

Told by `shell.attach` at both ends of an outermost cell; asked by `session.recorder`.

What a cell leaves behind goes on under the name of who has sent the cell: its asyncio tasks have a
copy of its context, and its threads, which begin without one, are told by `shell.taps.thread_tap`.
A thread of a pool is of whoever's cell has started it.
"""

import threading
from contextvars import ContextVar
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident
_threads: Final[dict[int, Any]] = threading._active  # type: ignore[attr-defined]  # no call of a user's class
_KEY: Final = "_flow_actor"


class Acting:
    """The actors of the code that runs now."""

    __slots__ = ("_actor",)

    def __init__(self) -> None:
        self._actor: ContextVar[str | None] = ContextVar("flow_actor", default=None)

    def begin(self, actor: str) -> None:
        """An outermost cell of `actor` begins here."""
        self._actor.set(actor)

    def end(self) -> None:
        """It has ended."""
        self._actor.set(None)

    def told(self) -> str | None:
        """Who it is; empty where their client does not say, None where nobody's cell runs here."""
        actor = self._actor.get()
        if actor is None and (thread := _threads.get(_get_ident())) is not None:
            actor = thread.__dict__.get(_KEY)
        return actor

    def now(self) -> str:
        """Who it is; empty where nobody says."""
        return self.told() or ""

    def hand_on(self, thread: Any) -> None:
        """`thread` is about to be started from here: what it does is of the same actor.

        Args:
            thread: Of `threading`.
        """
        if actor := self.told():
            thread.__dict__[_KEY] = actor
