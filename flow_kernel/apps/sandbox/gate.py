"""Who may connect to the sandbox: how many, and how fast (pure, but for the clock).

Made by `server`, which asks it at each handshake.
"""

import time


class Gate:
    """How many may connect, and how fast; a bucket that fills again.

    Args:
        most: At a time, and in one burst.
        per_s: On the average.
    """

    def __init__(self, most: int, per_s: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left = float(most)
        self._seen_s = time.monotonic()
        self.open: int = 0

    def refusal(self) -> tuple[int, str] | None:
        """Why one more may not come, as HTTP has it; None where it may."""
        now_s = time.monotonic()
        self._left = min(self._most, self._left + (now_s - self._seen_s) * self._per_s)
        self._seen_s = now_s
        if self.open >= self._most:
            return 503, f"{self._most} connections are open already"
        if self._left < 1:
            return 429, "too many connections in a short time"
        self._left -= 1
        return None
