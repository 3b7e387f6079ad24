"""Cells that somebody has given up before they began, and which have begun (pure).

Told by `shell.attach` as each outermost cell begins, in the thread that runs it; asked by
`session.orders` in the thread of the control channel.

    the cell's thread      note that it begins   →  take it from those that are given up
    the control channel    give it up            →  has it begun?  →  take it back

Whoever takes it decides: it was refused, or it has begun. That needs no lock, which a forked child
could find held, because one operation of a dict is not divided.
"""

from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MOST_BEGUN: Final = 1000
MOST_WAITING: Final = 10_000


class Withdrawn:
    """The requests of one session whose cells are not to begin."""

    __slots__ = ("_begun", "_waiting")

    def __init__(self) -> None:
        self._begun: dict[str, None] = {}
        self._waiting: dict[str, None] = {}

    def begin(self, msg_id: str) -> bool:
        """The cell of this request begins; False where it must not run."""
        self._begun[msg_id] = None
        if len(self._begun) > _MOST_BEGUN:
            self._begun.pop(next(iter(self._begun)), None)
        if not self._waiting or self._waiting.pop(msg_id, self) is self:
            return True
        del self._begun[msg_id]
        return False

    def withdraw(self, msg_id: str) -> bool:
        """Give up a cell that has not begun, whether its request has come or not.

        Returns:
            True where it will never run; False where it has begun, or where too many wait.
        """
        if msg_id in self._begun or len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting[msg_id] = None
        return msg_id not in self._begun or self._waiting.pop(msg_id, self) is self
