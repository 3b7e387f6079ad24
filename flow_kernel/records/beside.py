"""Work that goes on beside the thread that asked for it.

Called by `store.snapshots` and `session.checkpoints.aside`, for work that spends its time outside
of the interpreter: copying, hashing, waiting for the disk.

Not by `threading`: an interrupt of a wait for one of its threads lets it pass for ended (CPython
3.11), and a trace function of the user's that fails in it keeps the work from ever running.
"""

import _thread
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from flow_kernel.records.interrupts import NotedInterrupts

S = TypeVar("S")
T = TypeVar("T")

_SLICE_S: Final = 0.1


class GivenUp(Exception):
    """Nobody waits for the work any more."""


class Stop:
    """Whether work is to end before it is done.

    Args:
        outer: Of the work that it is a part of; what ends that ends it.

    Attributes:
        is_set: True once nobody waits for it.
    """

    __slots__ = ("_outer", "is_set")

    def __init__(self, outer: "Stop | None" = None) -> None:
        self._outer = outer
        self.is_set: bool = False

    def check(self) -> None:
        """Nothing, while the work is wanted.

        Raises:
            GivenUp: It is not.
        """
        if self.is_set:
            raise GivenUp
        if self._outer is not None:
            self._outer.check()


class Beside(Generic[T]):
    """One piece of work in a thread of its own; nothing of it goes on after the block.

    An interrupt that comes while the block waits for it is raised once the thread has ended.

    Args:
        work: What to do.
        stop: Set where the block ends with an error, or by an interrupt; the work looks at it.
    """

    def __init__(self, work: Callable[[], T], *, stop: Stop | None = None) -> None:
        self._work = work
        self._stop = stop or Stop()
        self._is_begun = False
        self._is_over = threading.Event()
        self._results: list[T] = []
        self._error: BaseException | None = None

    def result(self) -> T:
        """What came of it, once it is done; done here where no thread has.

        Raises:
            BaseException: What it raised.
        """
        self.end()
        if self._error is not None:
            raise self._error
        if not self._results:
            self._stop.is_set = False  # by an interrupt, which nobody has raised
            self._results.append(self._work())
        return self._results[0]

    def end(self) -> None:
        """Wait until nothing of it goes on.

        Raises:
            KeyboardInterrupt: There was one meanwhile; nothing goes on all the same.
        """
        try:
            self._wait()
        except BaseException:
            self._stop.is_set = True
            self._wait()  # an interrupt may come before it is noted
            raise

    def _wait(self) -> None:
        if not self._is_begun:
            return
        with NotedInterrupts() as held:
            while not self._is_over.wait(_SLICE_S):
                if held.was_interrupted:
                    self._stop.is_set = True
        held.pass_on()

    def __enter__(self) -> Self:
        try:
            with NotedInterrupts() as held:
                self._begin()
            held.pass_on()
        except BaseException:
            self._stop.is_set = True
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stop.is_set = True
        self.end()

    def _begin(self) -> None:
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:  # there can be no more threads: `result` does it
            return
        self._is_begun = True

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except GivenUp:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error
        finally:
            self._is_over.set()


def both(here: Callable[[], S], other: Callable[[], T], *, stop: Stop) -> tuple[S, T]:
    """Two pieces of work at once; nothing of either goes on afterwards.

    Args:
        here: Done in this thread.
        other: Done beside it.
        stop: Of the other; see `Beside`.
    """
    with Beside(other, stop=stop) as beside:
        try:
            mine = here()
        except BaseException:
            stop.is_set = True
            raise
        finally:
            beside.end()  # and by the block again: an interrupt may come just as this begins
    return mine, beside.result()
