"""How long a cell may take, and what is done then (pure).

Called by `repl_session`.

    0 ──timeout──▶ interrupt ──and again, while it goes on──▶ kill, when it ignores that

An interrupt is sent more than once: the first may come before the cell begins, and is lost then.
"""

from typing import Final

GRACE_S: Final = 2.0
"""From the first interrupt to the kill."""
_AGAIN_S: Final = 0.5


class Patience:
    """The time of one cell.

    Args:
        timeout_s: How long it may take; None for ever.
        now: Seconds of a clock that does not jump.
    """

    def __init__(self, timeout_s: float | None, now: float) -> None:
        self.timeout_s = timeout_s
        self._over_at = None if timeout_s is None else now + timeout_s
        self._next_at = self._over_at
        self.is_over: bool = False

    @property
    def next_at(self) -> float | None:
        """When there is something to do; None for never."""
        return self._next_at

    def due(self, now: float) -> str | None:
        """What is to be done: interrupt, kill or nothing."""
        if self._next_at is None or self._over_at is None or now < self._next_at:
            return None
        self.is_over = True
        if now >= self._over_at + GRACE_S:
            self._next_at = None
            return "kill"
        self._next_at = min(now + _AGAIN_S, self._over_at + GRACE_S)
        return "interrupt"
