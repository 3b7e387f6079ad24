"""Signals that stop what runs, in place of ending the process.

Used by `service` around a run of the command line.

    the first SIGINT or SIGTERM    the run is stopped: what runs is ended, and that is written down
    a second SIGINT                the run is left as it is, and can be resumed
    a third one                    nothing: the process is about to end
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopped_by_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Have signals call `stop` in the loop that runs now; in the main thread only.

    Raises:
        KeyboardInterrupt: At a second SIGINT, wherever the process is: a step in this process may
            keep the loop from ever hearing of the first.
    """
    loop = asyncio.get_running_loop()
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in heard:
            # A third one would break off how the process ends, with a traceback.
            before[number] = signal.SIG_IGN
            signal.signal(number, signal.SIG_IGN)
            raise KeyboardInterrupt
        heard.append(number)
        loop.call_soon_threadsafe(stop)

    before: dict[int, Any] = {number: signal.signal(number, hear) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
