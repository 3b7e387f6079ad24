"""The stop button while no cell runs and a worker is busy with what a client asked of its widgets.

Built by `shell.isolated.outlet`. Between cells ipykernel ignores SIGINT: nothing runs that it could
stop. Where a callback runs in a worker something does, and there the interrupt goes; a cell that
runs meanwhile has its own handler in this one's place.
"""

import signal
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

_start_thread: Final[Any] = import_module("_thread").start_new_thread


class CallbackInterrupts:
    """Those of one kernel; its methods may be called in any thread.

    Args:
        kernel: Of ipykernel.
        busy: The workers that are busy with such a request.
        interrupt: Interrupts the worker of an id; called in a thread of its own.
    """

    def __init__(
        self, kernel: Any, busy: Callable[[], Collection[str]], interrupt: Callable[[str], None]
    ) -> None:
        self._kernel = kernel
        self._busy = busy
        self._interrupt = interrupt

    def mind(self) -> None:
        """A request was passed on, or has ended."""
        loop = getattr(self._kernel, "io_loop", None)
        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed, and the kernel at its end
                loop.add_callback(self._follow)

    def _follow(self) -> None:
        """Have the handler that the moment needs; in the kernel's loop."""
        if threading.current_thread() is not threading.main_thread():
            return
        wanted: Any = self._interrupted if self._busy() else signal.SIG_IGN
        idle = (signal.SIG_IGN, self._interrupted)
        if signal.getsignal(signal.SIGINT) in idle:
            signal.signal(signal.SIGINT, wanted)
        elif getattr(self._kernel, "saved_sigint_handler", None) in idle:  # it comes after the cell
            self._kernel.saved_sigint_handler = wanted

    def stop(self) -> None:
        """Interrupt them now; where a signal is handled whoever has a lock may wait for us."""
        with suppress(RuntimeError):  # there can be no more threads
            _start_thread(self._stop, ())

    def _stop(self) -> None:
        for worker_id in self._busy():
            self._interrupt(worker_id)

    def _interrupted(self, _number: int, _frame: object) -> None:
        self.stop()
