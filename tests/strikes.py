"""A signal that comes again and again while a test runs, and whose handler raises.

Called by tests of what must not be torn by one. The alarm of the process is pytest's own.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import FrameType

_EACH_S: Final = 0.0003


class Struck(Exception):
    """What the handler raises."""


@contextmanager
def strikes(function: Callable[..., Any]) -> Iterator[None]:
    """Whenever the main thread is within `function`, it may be struck."""
    is_over = threading.Event()
    main = threading.main_thread().ident or 0

    def strike(*_: object) -> None:
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame.f_code is not function.__code__:
            if frame.f_globals.get("__name__", "").startswith("_pytest"):
                return  # it is told of something else, in the midst of the test
            frame = frame.f_back
        if frame is not None:  # else the test itself would be torn
            raise Struck

    def ring() -> None:
        while not is_over.wait(_EACH_S):
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, strike)
    thread = threading.Thread(target=ring)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        after = signal.signal(signal.SIGUSR1, before)
    assert after is strike
