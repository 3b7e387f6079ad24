"""Cells that run in a copy of the session: forked for one cell, with all variables at once.

Made by `opening`; called by `shell.isolated.cell`.

    facts ─▶ judge ─▶ fork ─▶ [the copy runs the cell; its thread here passes on what it says]
                                 ─▶ outcome ─▶ variables that were named ─▶ the copy ends

The copy is a child of this process, which the system ends with it. What it changes is its own; what
it leaves behind is killed by its tag.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn, Protocol

from flow_kernel.errors import IsolationUnavailable, NotFound, WorkerDied
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.records.process import oom_kills
from flow_kernel.session.checkpoints.keeper import fork
from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.isolation.ends import limit_error, limit_news, worker_end
from flow_kernel.session.isolation.fork_facts import facts_of
from flow_kernel.session.isolation.fork_guard import Verdict, judge
from flow_kernel.session.isolation.fork_reach import reach
from flow_kernel.session.isolation.inputs import wanted
from flow_kernel.session.isolation.run import Outcome, wait
from flow_kernel.session.isolation.service import Finished, has_failed, outputs_of
from flow_kernel.session.isolation.watchdog import Watchdog, Witness
from flow_kernel.store import forks
from flow_kernel.workers.calls import Called
from flow_kernel.workers.fork_ends import ForkEnds
from flow_kernel.workers.fork_hearers import Hearers
from flow_kernel.workers.fork_warden import WardenClient
from flow_kernel.workers.job import JOB, Died, Done, InputWanted, Job
from flow_kernel.workers.lifecycle import State
from flow_kernel.workers.live_fork import ForkWorker

_JOIN_S: Final = 3.0
_OOM_S: Final = 10.0
_HUNG: Final = (
    "the copy of the session hung as it began and was killed: all its threads waited for a lock"
    " that was held, or for threads that a copy does not have"
)


class Life(Protocol):
    """What a copy does; it never returns."""

    def __call__(self, ends: ForkEnds, *, has_one_thread: bool) -> NoReturn:
        """Run the cell and end the process.

        Args:
            ends: What it begins with.
            has_one_thread: OpenMP is held to one thread.
        """


class Forks:
    """See the module.

    Args:
        outlet: Of the shell.
        tell: Says a sentence to the person.
        note: Writes a `worker` record: worker id, state, reason, detail.
        on_change: Told each state of each copy with the reason.
        witness: Told of copies that do not go on.
    """

    def __init__(
        self,
        *,
        outlet: Any,
        tell: Callable[[str], None],
        note: Callable[[str, str, str, dict[str, object]], None],
        on_change: Callable[[Any, str], None],
        witness: Witness,
    ) -> None:
        self._outlet = outlet
        self._tell = tell
        self._note = note
        self._on_change = on_change
        self._witness = witness
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._count = 0
        self._told: set[str] = set()
        self._workers: dict[str, ForkWorker] = {}
        self._gone = threading.Condition(self._lock)
        self._warden = WardenClient()
        self._hearers = Hearers()
        self._oom_at_s, self._oom = 0.0, dict[str, int]()

    @property
    def workers(self) -> list[ForkWorker]:
        """The copies that live."""
        return [*self._workers.values()]

    def run(
        self, cell: IsolatedCell, life: Callable[[], Life], *,
        answer: Callable[[InputWanted], str], call: Callable[[Called], float],
    ) -> Finished:  # fmt: skip
        """Run a cell in a copy and wait for its end.

        Args:
            cell: Which.
            life: Makes ready what the copy does, here and before the fork.
            answer: Asks the person for a line of input.
            call: Does what code of the cell wants of the session; see `run.wait`.

        Raises:
            IsolationUnavailable: This session cannot be copied now; nothing was run.
            WorkerDied: The copy is gone; the session is untouched.
        """
        verdict = self._judged(cell)
        worker = self._made()
        before = self._oom_kills()
        job = _job(cell)
        try:
            self._start(worker, life(), verdict)
            dog = Watchdog(
                worker, job, cell.limits,
                code=cell.code, witness=self._witness, acts_alone=cell.acts_alone,
            )  # fmt: skip
            outcome = wait(worker, job, cell.limits, answer=answer, call=call, dog=dog)
            end = outcome.end
            if not isinstance(end, Died):
                if (news := limit_news(cell, worker.worker_id, end.reply)) is not None:
                    self._tell(news)
                return _finished(cell, worker, outcome, end)
        except BaseException:
            with NotedInterrupts():  # the next interrupt must not leave it running
                worker.kill()
            raise
        finally:
            worker.leave()
        if outcome.cause is not None:
            self._outlet.drop()  # it shows our own interrupt
        raise self._end(cell, worker, outcome, end, before)

    def end(self, worker_id: str) -> None:
        """Kill a copy; its cell tells.

        Raises:
            NotFound: There is none of that id.
        """
        worker = self._workers.get(worker_id)
        if worker is None:
            raise NotFound(f"there is no worker {worker_id[:40]!r}")
        worker.kill()

    def close(self) -> None:
        """End all copies, and what they have started."""
        if os.getpid() != self._pid:
            return
        for worker in self.workers:
            worker.kill()
        with self._lock:
            self._gone.wait_for(lambda: not self._workers, _JOIN_S)
        self._hearers.close()
        self._warden.close()

    # -- inside ------------------------------------------------------------------------------------

    def _judged(self, cell: IsolatedCell) -> Verdict:
        names = wanted(cell.code, cell.namespace, "auto", hidden=cell.hidden)
        found = reach(cell.namespace, names)
        is_copy = os.getpid() != self._pid
        verdict = judge(facts_of(cell.namespace, names, shared=found.shared, is_copy=is_copy))
        if verdict.refusal:
            raise IsolationUnavailable(
                f"the session cannot be copied: {verdict.refusal}; nothing was run",
                hint=verdict.hint,
            )
        for warning in verdict.warnings:
            if warning not in self._told:
                self._told.add(warning)
                self._tell(warning)
        found.flush()
        return verdict

    def _oom_kills(self) -> Mapping[str, int]:
        """The system's counters, not older than some seconds: reading them takes 0.3 ms."""
        now_s = time.monotonic()
        if now_s - self._oom_at_s > _OOM_S:
            self._oom_at_s, self._oom = now_s, oom_kills()
        return self._oom

    def _made(self) -> ForkWorker:
        with self._lock:
            self._count += 1
            worker_id = f"f{self._count}"
        return ForkWorker(
            worker_id,
            uuid.uuid4().hex,
            outlet=self._outlet,
            on_change=self._on_change,
            on_end=self._forget,
            in_thread=self._hearers.begin,
        )

    def _start(self, worker: ForkWorker, live: Life, verdict: Verdict) -> None:
        def life(ends: ForkEnds) -> NoReturn:
            live(ends, has_one_thread=verdict.has_one_thread)

        # An interrupt that is raised in one of the functions that Python calls at a fork would be
        # lost: those swallow what is raised in them.
        with NotedInterrupts() as held:
            self._warden.begin(worker.tag)
            with forks.left_open():
                worker.start(life, fork)
            with self._lock:
                self._workers[worker.worker_id] = worker
        held.pass_on()

    def _end(
        self,
        cell: IsolatedCell,
        worker: ForkWorker,
        outcome: Outcome,
        died: Died,
        before: Mapping[str, int],
    ) -> WorkerDied:
        end = worker_end(cell, worker.worker_id, outcome, died, before)
        error = end.error
        if worker.hang is not None and worker.hang.has_hung:
            error = WorkerDied(
                f"{_HUNG}; the variables of this session are as they were",
                worker_id=worker.worker_id,
                reason=end.death.reason,
                exit_status=None,
                signal=end.death.signal_name,
                hint="run the cell without --fork, or once no thread of the session is at work",
            )
        self._note(worker.worker_id, str(State.DEAD), end.death.reason, end.detail)
        return error

    def _forget(self, worker: ForkWorker) -> None:
        with suppress(OSError):
            self._warden.end(worker.tag)
        with self._lock:
            self._workers.pop(worker.worker_id, None)
            self._gone.notify_all()


def _job(cell: IsolatedCell) -> Job:
    return Job(header=dict(cell.header), content={"code": cell.code})


def _finished(cell: IsolatedCell, worker: ForkWorker, outcome: Outcome, done: Done) -> Finished:
    found = done.metadata[JOB]
    outputs, not_back = outputs_of(cell, found, done)
    error = limit_error(cell, worker.worker_id, outcome) or outcome.failure
    return Finished(
        reply=done.reply,
        worker_id=worker.worker_id,
        kind=worker.kind,
        changes=None,  # those of the copy are gone with it
        versions={},
        outputs=outputs,
        not_back=not_back,
        error=error if has_failed(done) else None,
    )
