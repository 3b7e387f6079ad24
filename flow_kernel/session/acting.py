"""Who has sent the cell that runs in a thread, whether it is recorded or not (pure).

Told by `shell.attach` at both ends of an outermost cell; asked by `session.recorder`.
"""

import threading
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_get_ident: Final = threading.get_ident


class Acting:
    """The actors of the cells that run now, by thread."""

    __slots__ = ("_actors",)

    def __init__(self) -> None:
        self._actors: dict[int, str] = {}

    def begin(self, actor: str) -> None:
        """An outermost cell of `actor` begins in this thread."""
        self._actors[_get_ident()] = actor

    def end(self) -> None:
        """It has ended."""
        self._actors.pop(_get_ident(), None)

    def now(self) -> str:
        """Whose cell runs in this thread; empty where its client does not say, or none runs."""
        return self._actors.get(_get_ident(), "")
