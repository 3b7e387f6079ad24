"""Cells that nobody waits for: each in a thread of its own, which waits for its worker.

Made by `opening`; called by `shell.isolated.background`.

    waiting ─▶ running ─▶ ok | error | cancelled
"""

import itertools
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.errors import IsolationUnavailable, NotFound, UsageError
from flow_kernel.records.plain import one_line
from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.isolation.outgoing import Prepared
from flow_kernel.session.isolation.run import Counted
from flow_kernel.workers.calls import Called
from flow_kernel.workers.job import InputWanted
from flow_kernel.workers.worker import Worker

if TYPE_CHECKING:
    from flow_kernel.session.isolation.service import Finished, Isolation

_SLICE_S: Final = 0.1
"""A wait without an end can sleep through an interrupt that comes just before it."""
_CLOSE_S: Final = 5.0
"""Their workers are killed by then: it is a matter of a record each."""
_KEPT: Final = 1000
"""So many that have ended are remembered."""


class JobState(StrEnum):
    """What has become of a cell in the background."""

    WAITING = "waiting"
    RUNNING = "running"
    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"


class Landed(dict[str, object]):
    """What came back from a cell; kept for as long as somebody has a handle of it."""


class BackgroundJob:
    """One cell in the background; everything here can be called in any thread.

    Attributes:
        job_id: `j1`, `j2`, …
        cell: That runs.
        state: What has become of it.
        worker_id: Where it runs; None while it waits.
        finished: What came of it; None unless its worker has survived it.
        error: Why there is nothing; None where there is.
        elapsed_s: From its begin to its end, or to now.
        key: What it is recorded under.
        task_id: That it belongs to; None where nobody has said.
    """

    def __init__(
        self, job_id: str, cell: IsolatedCell, prepared: Prepared, isolation: "Isolation"
    ) -> None:
        self.job_id: str = job_id
        self.key: str = f"{cell.header['msg_id']}/{job_id}"
        self.task_id: str | None = None
        self.cell: IsolatedCell = cell
        self._isolation = isolation
        self.state: JobState = JobState.WAITING
        self.worker_id: str | None = None
        self.finished: Finished | None = None
        self.error: BaseException | None = None
        self._prepared: Prepared | None = prepared
        self._began_s = time.monotonic()
        self._elapsed_s: float | None = None
        self._counted = Counted()
        self._namespace: Any = cell.namespace
        self._is_cancelled = False
        self._has_landed = False
        self._landed: weakref.ref[Landed] | None = None
        self._ended = threading.Event()
        self._lock = threading.RLock()  # what a variable is replaced by may end another one
        self._callbacks: list[Callable[[], object]] = []

    @property
    def ename(self) -> str:
        """The name of the error that it has failed with; empty where it has not."""
        if self.error is not None:
            return type(self.error).__name__
        reply = {} if self.finished is None else self.finished.reply
        return "" if reply.get("status") == "ok" else str(reply.get("ename"))

    @property
    def elapsed_s(self) -> float:
        """From its begin to its end, or to now."""
        return self._elapsed_s or time.monotonic() - self._began_s

    @property
    def has_ended(self) -> bool:
        """True once all is told."""
        return self._ended.is_set()

    @property
    def has_landed(self) -> bool:
        """True once the session has what came back."""
        return self._has_landed

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end; False where it takes longer."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._ended.wait(_SLICE_S):
            if until_s is not None and time.monotonic() >= until_s:
                return False
        return True

    @property
    def landed(self) -> Landed:
        """What `land` has brought back; it is let go with the last handle that has asked for it."""
        with self._lock:
            landed = None if self._landed is None else self._landed()
            if landed is None:
                landed = Landed()
                self._landed = weakref.ref(landed)
            return landed

    def land(self) -> dict[str, str]:
        """Put what came back into the session, the first time; what did not, with the reason."""
        with self._lock:
            finished = None if self._has_landed else self.finished
            self._has_landed = True
            if finished is None:
                return {}
            self.landed.update(finished.outputs)
            self._namespace.update(finished.outputs)
            self.finished = replace(finished, outputs={})
        self._isolation.stir()
        return finished.not_back

    def cancel(self) -> bool:
        """Interrupt it, as Ctrl-C would; one that waits gives up. False where it has ended."""
        if self.has_ended:
            return False
        self._is_cancelled = True
        self._counted.interrupt()
        self._isolation.look_again()
        return True

    def then(self, callback: Callable[[], object]) -> None:
        """Call `callback` at its end, in whichever thread; at once where it has ended."""
        with self._lock:
            if not self.has_ended:
                self._callbacks.append(callback)
                return
        with suppress(Exception):  # as at its end
            callback()

    # -- called by `Background` --------------------------------------------------------------------

    def run(self, call: Callable[[Called], float], on_begin: Callable[[], None]) -> None:
        """Run it to its end; nothing is raised."""
        prepared, self._prepared = self._prepared, None  # it may hold gigabytes
        try:
            self.finished = self._isolation.run(
                self.cell,
                answer=_nobody,
                call=call,
                counted=self._counted,
                on_worker=lambda worker: self._begins(worker, on_begin),
                prepared=prepared,
            )
            has_failed = self.finished.reply.get("status") != "ok"
        except BaseException as error:  # noqa: BLE001 - whoever asks for its result gets it
            self.error = _bare(error)
            has_failed = True
        self._elapsed_s = time.monotonic() - self._began_s
        failed = JobState.CANCELLED if self._is_cancelled else JobState.ERROR
        self.state = failed if has_failed else JobState.OK

    def end(self) -> None:
        """All is told."""
        with self._lock:
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            with suppress(Exception):  # of whoever asked for it, and of nobody else
                callback()
        if callbacks:
            self._isolation.stir()

    def _begins(self, worker: Worker, on_begin: Callable[[], None]) -> None:
        self.worker_id = worker.worker_id
        self._isolation.outlet.set_apart(worker.worker_id, self.key)
        self.state = JobState.RUNNING
        with suppress(Exception):  # what shows it must not keep it from running
            on_begin()


class Background:
    """Those of one session.

    Args:
        isolation: Runs them.
        tell: Tells agents of the end of one.
    """

    def __init__(self, isolation: "Isolation", tell: Callable[[BackgroundJob], None]) -> None:
        self._isolation = isolation
        self._tell = tell
        self._jobs: dict[str, BackgroundJob] = {}
        self._threads: set[threading.Thread] = set()
        self._counted = itertools.count(1)  # cells of several subshells begin some at a time

    @property
    def jobs(self) -> list[BackgroundJob]:
        """Oldest first."""
        return [*self._jobs.values()]

    def find(self, job_id: str) -> BackgroundJob:
        """The one of an id.

        Raises:
            NotFound: There is none.
        """
        if job_id not in self._jobs:
            known = ", ".join([*self._jobs][-8:])
            raise NotFound(
                f"no cell in the background is named {one_line(job_id, 40)}",
                hint=f"there are {known}" if known else "%%isolated --bg begins one",
            )
        return self._jobs[job_id]

    def prepared(self, cell: IsolatedCell) -> BackgroundJob:
        """A cell that is about to begin, with variables as they are now.

        Raises:
            UsageError: A variable that was named does not exist.
            IsolationUnavailable: A limit cannot be held to.
        """
        prepared = self._isolation.prepare(cell)
        job_id = f"j{next(self._counted)}"
        return BackgroundJob(job_id, cell, prepared, self._isolation)

    def start(
        self,
        job: BackgroundJob,
        *,
        call: Callable[[Called], float],
        on_begin: Callable[[BackgroundJob], None],
        on_end: Callable[[BackgroundJob], None],
    ) -> None:
        """Begin it and come back.

        Args:
            job: Which.
            call: Does what its code wants of the session.
            on_begin: Told that it has a worker, in its thread.
            on_end: Told of its end before anybody else, in its thread.

        Raises:
            IsolationUnavailable: The system has no thread for it.
        """

        def live() -> None:
            try:
                job.run(call, lambda: on_begin(job))
                for told in (on_end, self._tell):
                    with suppress(Exception):  # what shows it must not keep others waiting for ever
                        told(job)
            finally:
                job.end()
                self._threads.discard(thread)

        thread = threading.Thread(target=live, name=f"flow-{job.job_id}", daemon=True)
        self._forget()
        self._jobs[job.job_id] = job
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._threads.discard(thread)
            del self._jobs[job.job_id]
            raise IsolationUnavailable(
                f"the cell was not begun in the background: {error}",
                hint="end some with %workers cancel JOB, or run it without --bg",
            ) from None

    def give_up(self) -> None:
        """Cancel all of them."""
        for job in self.jobs:
            job.cancel()

    def close(self) -> None:
        """Wait until all is told of them: they are given up by then, and their workers ended."""
        until_s = time.monotonic() + _CLOSE_S
        for thread in [*self._threads]:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _forget(self) -> None:
        ended = [job.job_id for job in self.jobs if job.has_ended]
        for job_id in ended[: max(0, len(self._jobs) - _KEPT)]:
            self._jobs.pop(job_id, None)


def _bare(error: BaseException) -> BaseException:
    """Without the frames that it has passed: they hold what was sent, which may be gigabytes."""
    one: BaseException | None = error
    while one is not None and one.__traceback__ is not None:
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error


def _nobody(_: InputWanted) -> str:
    raise UsageError("a cell in the background has nobody to ask")
