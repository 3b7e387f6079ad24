"""Waits without an end that Ctrl-C ends all the same.

Called by `session.checkpoints.taking`, in the main thread too.

An interrupt between the last look of Python's loop and the system's wait, or one that the system
gives to another thread, does not end the wait: one without an end would sleep through it. So these
wait in slices. A lock is not waited for like this: an interrupt just after it was taken would leave
it taken, where `with lock:` does not.
"""

import threading
import time
from typing import Final

_SLICE_S: Final = 0.1


def wait(event: threading.Event, timeout_s: float | None = None) -> bool:
    """Wait until an event has come.

    Args:
        event: Which.
        timeout_s: How long; None for as long as it takes.

    Returns:
        True when it has come, False when the time is over.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = _SLICE_S if end is None else min(_SLICE_S, end - time.monotonic())
        if event.wait(max(0.0, left_s)):
            return True
        if left_s <= 0:
            return False
