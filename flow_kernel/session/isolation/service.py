"""Isolated cells of one session: variables in, the cell in a worker, variables out, what is told.

Built by `session.assembly` when the first cell is isolated; called by `shell.isolated.cell`.

    wanted names ─▶ pack ─▶ lease ─▶ send ─▶ [worker runs; relay passes on what it says] ─▶ outcome
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.errors import IsolationUnavailable, WorkerDied
from flow_kernel.records.cell_changes import Changes
from flow_kernel.records.changes_wire import from_wire, versions_from_wire
from flow_kernel.records.process import oom_kills
from flow_kernel.session.isolation import ends
from flow_kernel.session.isolation.background import Background, BackgroundJob
from flow_kernel.session.isolation.cell import IsolatedCell
from flow_kernel.session.isolation.inputs import wanted
from flow_kernel.session.isolation.kinds import Freight, news_of, refuse_limits
from flow_kernel.session.isolation.outgoing import Outgoing, Prepared
from flow_kernel.session.isolation.run import Counted, Outcome, wait
from flow_kernel.session.isolation.script_ends import script_error
from flow_kernel.session.isolation.sent import Sent
from flow_kernel.session.isolation.steering import Steering
from flow_kernel.session.isolation.stillness import Stillness
from flow_kernel.session.isolation.watchdog import Watchdog, Witness
from flow_kernel.workers import transfer
from flow_kernel.workers.calls import Called
from flow_kernel.workers.job import JOB, TORN, Died, Done, InputWanted
from flow_kernel.workers.lifecycle import Restarts, State
from flow_kernel.workers.limits import Requirements
from flow_kernel.workers.pool import Pool
from flow_kernel.workers.worker import Worker

if TYPE_CHECKING:
    from flow_kernel.session.isolation.forking import Forks

DEFAULT_WORKER: Final = "default"
_OOM_S: Final = 10.0
_TRIES: Final = 3
"""Of a cell that may run again."""
_MAY_PASS: Final = ("segfault", "oom_kernel", "killed", "exit", "lost")
"""Reasons of a death that a second run may not have; a limit would be passed again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What came of a cell that its worker survived.

    Attributes:
        reply: Content of the execute reply.
        worker_id: Where it ran.
        kind: How that worker was started.
        changes: What it changed there.
        versions: Of the packages that it imported.
        outputs: Variables that came back.
        not_back: Names that did not, with the reason.
        error: What is raised instead of what the reply says; None for nothing else.
        script: How a script of bash ended there, see `script_ends`.
    """

    reply: dict[str, Any]
    worker_id: str
    kind: str
    changes: Changes | None
    versions: dict[str, str | None]
    outputs: dict[str, object]
    not_back: dict[str, str]
    error: BaseException | None
    script: object = None


class Isolation:
    """See the module.

    Args:
        pool: Of this session.
        outlet: Of the shell; told what becomes of the error that a cell ends with.
        tell: Says a sentence to the person.
        note: Writes a `worker` record: worker id, state, reason, detail.
        steering: What a person does to the workers.
        forks: Cells that run in a copy of the session.
        still: Whether variables may have changed.
        tell_job: Tells agents of the end of a cell that nobody waits for.
        witness: Told of workers that do not go on.
    """

    def __init__(  # noqa: PLR0913 - `opening` passes them once, each by name
        self,
        pool: Pool,
        *,
        outlet: Any,
        tell: Callable[[str], None],
        note: Callable[[str, str, str, dict[str, object]], None],
        steering: Steering,
        forks: "Forks",
        still: Stillness,
        tell_job: Callable[[BackgroundJob], None],
        witness: Witness,
    ) -> None:
        self.pool: Pool = pool
        self.steering: Steering = steering
        self.forks: Forks = forks
        self.outlet: Any = outlet
        self._witness = witness
        self._still = still
        still.follow()
        self._oom_at_s, self._oom = 0.0, dict[str, int]()
        self._tell = tell
        self._note = note
        self._freight = Freight()
        self._outgoing = Outgoing(still, tell)
        self._env = dict(os.environ)
        self._has_told_kind = False
        self._sent: dict[str, Sent] = {}
        self.background: Background = Background(self, tell_job)
        """Cells that nobody waits for."""
        self._restarts: dict[str, Restarts] = {}

    def run(
        self, cell: IsolatedCell, *,
        answer: Callable[[InputWanted], str], call: Callable[[Called], float],
        counted: Counted | None = None, on_worker: Callable[[Worker], None] = lambda _: None,
        prepared: Prepared | None = None,
    ) -> Finished:  # fmt: skip
        """Run a cell in a worker and wait for its end.

        Args:
            cell: Which.
            answer: Asks the person for a line of input.
            call: Does what code of the cell wants of the session; see `run.wait`.
            counted: Counts its interrupts, from other threads too; see `run.wait`.
            on_worker: Told where it runs, before it does.
            prepared: What `prepare` has made of the cell; None where it runs in its own thread.

        Raises:
            IsolationUnavailable: No worker can be started, or it died too often of late.
            UsageError: A variable that was named does not exist.
            WorkerDied: Its worker is gone; the session is untouched.
        """
        counted = counted or Counted()
        cell = self.held(cell)
        names = [] if prepared is not None else self._names(cell)
        needs, memory_bytes = cell.needs, cell.limits.memory_bytes or 0
        if memory_bytes > needs.memory_bytes:
            needs = replace(needs, memory_bytes=memory_bytes)
        name = None if cell.is_fresh else cell.worker or DEFAULT_WORKER

        def once() -> Finished:
            worker = self._leased(cell, name)
            try:
                if counted.count:  # while its worker began
                    raise IsolationUnavailable("the cell was cancelled before it began")
                on_worker(worker)
                ready = prepared or self._outgoing.prepared(cell, names, self._sent_to(worker))
                return self._run(cell, worker, ready, answer=answer, call=call, counted=counted)
            finally:  # before the next cell gets the worker
                self.outlet.set_apart(worker.worker_id, None)
                if cell.is_fresh and worker.died is None:
                    self._sent.pop(worker.worker_id, None)
                    self.pool.end(worker)

        with self.pool.turnstile.turn(
            worker=name,
            priority=cell.priority,
            needs=needs,
            is_background=cell.is_background,
            is_wanted=lambda: not counted.count,
            on_wait=lambda before: self._waits(cell, name, before),
        ):
            return self._again(cell, counted, once)

    def _again(
        self, cell: IsolatedCell, counted: Counted, once: Callable[[], Finished]
    ) -> Finished:
        """Run a cell whose turn it is: once, or again where it may and its worker dies."""
        tries = _TRIES if cell.is_idempotent else 1
        while True:
            tries -= 1
            try:
                return once()
            except WorkerDied as error:
                if not tries or counted.count or error.reason not in _MAY_PASS:
                    raise
                if not cell.is_background:  # what is said now, another cell would say
                    self._tell(f"{error.message.partition(';')[0]}; the cell runs again")

    def held(self, cell: IsolatedCell) -> IsolatedCell:
        """A cell with the limits that hold for all that say nothing else."""
        storm = self.pool.settings.max_processes or None
        limits = replace(cell.limits, storm=storm)
        return cell if limits == cell.limits else replace(cell, limits=limits)

    def prepare(self, cell: IsolatedCell) -> Prepared:
        """What a cell needs that is to run in the background, as it is now.

        Raises:
            UsageError: A variable that was named does not exist.
            IsolationUnavailable: A limit cannot be held to.
        """
        names = self._names(cell)
        return self._outgoing.apart(cell, names, is_far=self.pool.is_elsewhere)

    def _names(self, cell: IsolatedCell) -> list[str]:
        names = wanted(cell.code, cell.namespace, cell.inputs, hidden=cell.hidden)
        if self.pool.is_elsewhere:
            refuse_limits(cell.limits, cell.needs)
        return names

    def _waits(self, cell: IsolatedCell, name: str | None, before: int) -> None:
        if not cell.is_background:
            what = "a worker" if name is None else f"the worker {name}"
            needs = f" with {cell.needs}" if cell.needs != Requirements() else ""
            others = f", {before} before it" if before else ""
            self._tell(f"the cell waits for {what}{needs}{others}; an interrupt gives up")

    def _leased(self, cell: IsolatedCell, name: str | None) -> Worker:
        if name is not None:
            self._mind_deaths(name)
        worker = self.pool.lease(name)
        if not worker.is_ready and worker.died is None:  # else its death is told
            raise IsolationUnavailable(
                f"the worker {worker.name or worker.worker_id} is {worker.state}: it runs one cell"
                " at a time",
                hint="name another one with --worker, or take a new one with --fresh",
            )
        if not self._has_told_kind and (news := news_of(worker)) is not None:
            self._has_told_kind = True
            self._tell(news)
        return worker

    def _run(
        self, cell: IsolatedCell, worker: Worker, prepared: Prepared, *,
        answer: Callable[[InputWanted], str], call: Callable[[Called], float], counted: Counted,
    ) -> Finished:  # fmt: skip
        name = None if cell.is_fresh else worker.name
        job = self._outgoing.job(cell, prepared, worker, self._freight)
        before = self._oom_kills()
        dog = Watchdog(
            worker, job, cell.limits,
            code=cell.code, witness=self._witness, acts_alone=cell.acts_alone,
        )  # fmt: skip
        outcome = wait(worker, job, cell.limits, answer=answer, call=call, counted=counted, dog=dog)
        self._freight.landed(worker)
        if isinstance(outcome.end, Died):
            self.forget(worker.worker_id, name)
            if outcome.cause is not None and not cell.is_background:
                self.outlet.drop()  # it shows our own interrupt
            end = ends.worker_end(cell, worker.worker_id, outcome, outcome.end, before)
            self._note(worker.worker_id, str(State.DEAD), end.death.reason, end.detail)
            raise end.error
        finished = self._finished(cell, worker, outcome, outcome.end)
        news = ends.limit_news(cell, worker.worker_id, finished.reply) or ends.torn_news(
            worker.worker_id, outcome.end
        )
        if news is not None and not cell.is_background:
            self._tell(news)
        if outcome.end.was_lost or prepared.is_apart:  # nobody knows how far it got
            self._sent.pop(worker.worker_id, None)
        else:
            self._note_delivery(cell, worker, finished, outcome.end)
            self._note_outputs(cell, worker, finished)
        return finished

    def forget(self, worker_id: str, name: str | None) -> None:
        """A worker has died, and what it was told with it; callable in any thread.

        Args:
            worker_id: Whose death it is.
            name: It had; None for one that nobody asks for again.
        """
        if name is not None:
            self._restarts.setdefault(name, Restarts()).died(time.monotonic())
        self._sent.pop(worker_id, None)

    def look_again(self) -> None:
        """Somebody has given up a cell that may wait for a worker."""
        self.pool.turnstile.look_again()

    def stir(self) -> None:
        """Variables of the session may have changed beside its cells."""
        self._still.stir()

    def close(self) -> None:
        """End all workers, and what runs there."""
        self.background.give_up()
        self.forks.close()
        self.pool.close()
        self.background.close()
        self.steering.close()
        self._freight.close()

    # -- inside ------------------------------------------------------------------------------------

    def _oom_kills(self) -> Mapping[str, int]:
        """The system's counters, not older than some seconds: reading them takes 0.3 ms."""
        now_s = time.monotonic()
        if now_s - self._oom_at_s > _OOM_S:
            self._oom_at_s, self._oom = now_s, oom_kills()
        return self._oom

    def _mind_deaths(self, name: str) -> None:
        """A worker that dies again and again is not started for ever.

        Raises:
            IsolationUnavailable: This time it is not; the next time it is.
        """
        restarts = self._restarts.setdefault(name, Restarts())
        if not restarts.may_start(time.monotonic()) and not self.pool.has(name):
            restarts.forget()
            raise IsolationUnavailable(
                f"the worker {name} died three times in a minute; it was not started this time",
                hint="look at what it died of; the next isolated cell starts it",
            )

    def _note_outputs(self, cell: IsolatedCell, worker: Worker, finished: Finished) -> None:
        """What came back need not be sent before the session changes it."""
        if not cell.is_fresh and finished.outputs:
            self._sent_to(worker).keeps(finished.outputs, cell.namespace, self._still)

    def _note_delivery(
        self, cell: IsolatedCell, worker: Worker, finished: Finished, done: Done
    ) -> None:
        """What was sent is there; and what the cell made of its names stays there."""
        found = done.metadata.get(JOB)
        if cell.is_fresh or not isinstance(found, dict) or not found.get("has_arrived"):
            return
        sent = self._sent_to(worker)
        sent.arrived()
        if finished.changes is not None:
            sent.changed(finished.changes, cell.namespace, self._still)

    def _sent_to(self, worker: Worker) -> Sent:
        sent = self._sent.get(worker.worker_id)
        if sent is None:
            env = self._env if worker.is_far else worker.env
            sent = self._sent[worker.worker_id] = Sent(env, is_far=worker.is_far)
        return sent

    def _finished(
        self, cell: IsolatedCell, worker: Worker, outcome: Outcome, done: Done
    ) -> Finished:
        found = done.metadata.get(JOB)
        found = found if isinstance(found, dict) else {}
        wire = found.get("changes")
        outputs, not_back = outputs_of(cell, found, done)
        return Finished(
            reply=done.reply,
            worker_id=worker.worker_id,
            kind=worker.kind,
            changes=from_wire(wire),
            versions=versions_from_wire(wire),
            outputs=outputs,
            not_back=not_back,
            error=_error_of(cell, worker, outcome, done, found),
            script=found.get("script") if cell.is_script else None,
        )


def _error_of(
    cell: IsolatedCell, worker: Worker, outcome: Outcome, done: Done, found: Mapping[str, Any]
) -> BaseException | None:
    if not has_failed(done):
        return None
    if done.was_torn and done.was_lost:
        return ConnectionResetError(TORN)
    if found.get("is_refused") and (error := ends.no_directory(done.reply)) is not None:
        return error
    of_limit = ends.limit_error(cell, worker.worker_id, outcome) or outcome.failure
    return of_limit or (script_error(found.get("script")) if cell.is_script else None)


def has_failed(done: Done) -> bool:
    """True for a cell that did not end well."""
    return done.reply.get("status") != "ok"  # a reply that cannot be read is no success


def outputs_of(
    cell: IsolatedCell, found: Mapping[str, Any], done: Done
) -> tuple[dict[str, object], dict[str, str]]:
    """What came back, and why the rest did not; the copies in the worker stay in any case."""
    if not cell.outputs:
        return {}, {}
    not_back = dict.fromkeys(found.get("missing", ()), "the worker has no such variable")
    for name, kind, reason in found.get("refused", ()):
        not_back[name] = f"{kind}: {reason}"
    values: dict[str, object] = {}
    if shipment := found.get("outputs"):
        try:
            values = transfer.unpack(shipment, done.buffers, along=False)
        except Exception as error:  # noqa: BLE001 - code of the values' classes may raise anything
            for name in cell.outputs:
                not_back.setdefault(name, f"{type(error).__name__}: {error}"[:300])
    return values, not_back
