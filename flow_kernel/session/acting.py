"""Who has sent the code that runs here, whether it is recorded or not (pure).

Told by `shell.attach` at both ends of an outermost cell; asked by `session.recorder`.

What a cell leaves behind goes on under the name of who has sent the cell: its asyncio tasks have a
copy of its context. Threads begin without one, and nothing of Python is patched to hear of them:
those that are new while an agent's cell runs are that agent's. So is one that a thread of somebody
else starts meanwhile; one that they start after it is of the session. A thread of a pool is of
whoever's cell has started it. Audit hooks are told who starts a thread, unseen; but such a hook
stays for ever, and with it each `id(x)` of a program takes 187 ns in place of 59.
"""

import threading
import weakref
from contextvars import ContextVar
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident
_threads: Final[dict[int, Any]] = threading._active  # type: ignore[attr-defined]  # no call of a user's class
_KEY: Final = "_flow_actor"


class _Cell:
    """An outermost cell, and the threads that were there before it."""

    __slots__ = ("_known", "actor")

    def __init__(self, actor: str) -> None:
        self.actor = actor
        # By address and proof: a thread that ends leaves both of its numbers to the next one.
        threads = list(_threads.values()) if actor else ()
        self._known = {id(one): weakref.ref(one) for one in threads}

    def is_new(self, thread: Any) -> bool:
        """It was not there before the cell."""
        known = self._known.get(id(thread))
        return known is None or known() is not thread


class Acting:
    """The actors of the code that runs now."""

    __slots__ = ("_begun", "_cell", "_of_agents")

    def __init__(self) -> None:
        self._cell: ContextVar[_Cell | None] = ContextVar("flow_actors_cell", default=None)
        self._of_agents: list[_Cell] = []
        # By thread: one that awaits begins in a context of its own, and ends outside of it.
        self._begun: dict[int, _Cell] = {}

    def begin(self, actor: str) -> None:
        """An outermost cell of `actor` begins here."""
        self.end()  # one that did not come to its end
        cell = self._begun[_get_ident()] = _Cell(actor)
        self._cell.set(cell)
        if actor:
            self._of_agents.append(cell)

    def end(self) -> None:
        """It has ended."""
        cell = self._begun.pop(_get_ident(), None)
        self._cell.set(None)
        if cell is not None and cell in self._of_agents:
            self._of_agents.remove(cell)
            for thread in list(_threads.values()):
                if cell.is_new(thread):
                    thread.__dict__.setdefault(_KEY, cell.actor)

    def told(self) -> str | None:
        """Who it is; empty where their client does not say, None where nobody's cell runs here."""
        cell = self._cell.get()
        if cell is not None:
            return cell.actor
        thread = _threads.get(_get_ident())
        if thread is None:
            return None
        if self._of_agents and self._of_agents[-1].is_new(thread):
            thread.__dict__.setdefault(_KEY, self._of_agents[-1].actor)
        actor: str | None = thread.__dict__.get(_KEY)
        return actor

    def now(self) -> str:
        """Who it is; empty where nobody says."""
        return self.told() or ""
