"""An interrupt ends a cell that awaits, within the blink of an eye and as KeyboardInterrupt.

Used by the kernels and shells of `shell.kernel` and `shell.worker.app`.

ipykernel cancels such a cell from its signal handler in a way that does not wake a loop which waits
for its next event, so `await asyncio.sleep(60)` goes on for a minute; a cell that has swallowed one
interrupt gets no other; one that keeps the thread busy between two awaits gets none at all; and
what people see is a `CancelledError`. Here

    the cell itself is at work          KeyboardInterrupt, where it is, as in a cell without await
    another task of the user's is       KeyboardInterrupt there, and the cell is cancelled
    the loop waits, or works for us     the cell is cancelled, as by `asyncio.run`

and a cell that ends by it shows KeyboardInterrupt. An interrupt in another task leaves the loop,
which `shell.overrides.lasting_loop` runs on. ipykernel: issues 881 and 1239.

Proven for ipykernel 7.0 to 7.4 and IPython 9.0 to 9.18; `is_usable` looks whether they have the
shape that is overridden, and ipykernel's own way stays where they have not.
"""

import asyncio
import inspect
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from ipykernel.ipkernel import IPythonKernel
from IPython.core.interactiveshell import InteractiveShell

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.overrides.lasting_loop import ASKED

globals()["__builtins__"] = FROZEN_BUILTINS

_OF_THE_KERNEL: Final = frozenset(
    ("flow_kernel", "ipykernel", "IPython", "comm", "tornado", "zmq", "jupyter_client")
)
_CELL_RUNNER: Final = getattr(getattr(InteractiveShell, "run_code", None), "__code__", None)
_Cancelled: Final = asyncio.CancelledError
_current_task: Final = asyncio.current_task
_running_loop: Final = asyncio.get_running_loop
_set_handler: Final = signal.signal
_SIGINT: Final = signal.SIGINT


def is_usable() -> bool:
    """Cells that await are cancelled, code is run and errors are shown, as we know it."""
    try:
        return (
            [*inspect.signature(IPythonKernel._cancel_on_sigint).parameters] == ["self", "future"]
            and "exc_tuple" in inspect.signature(InteractiveShell.showtraceback).parameters
            and inspect.iscoroutinefunction(InteractiveShell.run_code)
        )
    except (AttributeError, TypeError, ValueError):
        return False


_IS_USABLE: Final = is_usable()


class AwaitedCell:
    """A cell that awaits, and the interrupts that reach it.

    Args:
        task: Runs it.
        namespace: Its globals.
    """

    def __init__(self, task: "asyncio.Task[Any]", namespace: Any) -> None:
        self.task: asyncio.Task[Any] = task
        self._loop = _running_loop()
        self._namespace = namespace
        self._is_cancelled = False
        self._seen: tuple[BaseException, KeyboardInterrupt] | None = None

    def on_sigint(self, _number: int, frame: FrameType | None) -> None:
        """Interrupt it; the handler of the signal."""
        task = _current_task(self._loop)
        if task is self.task and _is_in_cell(frame, self._namespace):
            raise KeyboardInterrupt
        is_users = task is not None and task is not self.task and not _is_of_kernel(task)
        if not is_users:
            # Thread-safe, because only that wakes the loop.
            self._loop.call_soon_threadsafe(self._cancel)
        else:
            # At once, or other tasks that the cell waits for would still begin what blocks.
            self._cancel()
            interrupt = KeyboardInterrupt()
            setattr(interrupt, ASKED, True)
            raise interrupt

    def interrupt_for(self, error: BaseException | None) -> KeyboardInterrupt | None:
        """What `error` means if it ended the cell because of an interrupt; else None."""
        if not self._is_cancelled or type(error) is not _Cancelled:
            return None
        if self._seen is None or self._seen[0] is not error:
            self._seen = error, KeyboardInterrupt().with_traceback(error.__traceback__)
        return self._seen[1]

    def amend(self, task: "asyncio.Task[Any]") -> None:
        """Put the interrupt into the cell's result, before whoever awaits the task has it."""
        if task.cancelled() or task.exception() is not None:
            return
        result = task.result()
        interrupt = self.interrupt_for(getattr(result, "error_in_exec", None))
        if interrupt is not None:
            result.error_in_exec = interrupt

    def _cancel(self) -> None:
        if not self.task.done():
            self._is_cancelled = True
            self.task.cancel()


class AwaitingKernel(IPythonKernel):  # type: ignore[misc]  # ipykernel has no types
    """A kernel whose cells that await can be interrupted."""

    @contextmanager
    def _cancel_on_sigint(self, future: Any) -> Iterator[None]:
        if not _IS_USABLE or not isinstance(self.shell, AwaitingShell):
            with super()._cancel_on_sigint(future):
                yield
            return
        cell = AwaitedCell(future, self.shell.user_global_ns)
        future.add_done_callback(cell.amend)
        self.shell.awaited_cell = cell
        before = _set_handler(_SIGINT, cell.on_sigint)
        try:
            yield
        finally:
            _set_handler(_SIGINT, before)
            self.shell.awaited_cell = None


class AwaitingShell(InteractiveShell):  # type: ignore[misc]  # IPython has no types
    """A shell that shows an interrupt of a cell that awaits as one."""

    awaited_cell: AwaitedCell | None = None
    """The cell of the main thread that awaits."""

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **kwargs: Any) -> None:
        """Show an error as IPython does."""
        cell = self.awaited_cell
        if cell is not None and exc_tuple is None and _is_run_by(cell):
            interrupt = cell.interrupt_for(sys.exc_info()[1])
            if interrupt is not None:
                exc_tuple = KeyboardInterrupt, interrupt, interrupt.__traceback__
        super().showtraceback(exc_tuple, *args, **kwargs)


def _is_run_by(cell: AwaitedCell) -> bool:
    """We are called by the cell, and not by one of a subshell or a thread."""
    try:
        return _current_task() is cell.task
    except RuntimeError:  # no loop runs in this thread
        return False


def _is_in_cell(frame: FrameType | None, namespace: Any) -> bool:
    """The cell's code is at work at `frame`, and not IPython's around it."""
    inner = None
    while frame is not None:
        if frame.f_code is _CELL_RUNNER:
            return inner is not None and inner.f_globals is namespace
        inner, frame = frame, frame.f_back
    return False


def _is_of_kernel(task: "asyncio.Task[Any]") -> bool:
    """It is a task of the kernel's, in the midst of which there must be no interrupt."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    name = frame.f_globals.get("__name__", "") if frame is not None else ""
    return type(name) is str and name.partition(".")[0] in _OF_THE_KERNEL
