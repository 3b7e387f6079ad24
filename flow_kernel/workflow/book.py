"""The runs and workflows of a home: made, claimed, found.

Built by `service` and by everything that lists runs. A run is worked on by one process at a time:
who takes it writes down which process it is, and another one may take it once that is gone.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

import orjson

from flow_kernel.errors import FlowError, IllegalTransition, NotFound, UsageError, WorkflowInvalid
from flow_kernel.records.home import Home
from flow_kernel.records.process import ProcessId, is_alive, this_process
from flow_kernel.store.contract import Reading, Store, Writing
from flow_kernel.store.run_rows import RunRow, RunStepRow, RunVariable
from flow_kernel.workflow import spec
from flow_kernel.workflow.deciding import Decider
from flow_kernel.workflow.holding import is_held
from flow_kernel.workflow.ledger import error_of
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.objects import LARGE_BYTES, Objects
from flow_kernel.workflow.options import RunOptions, options_of
from flow_kernel.workflow.reuse import Reused
from flow_kernel.workflow.states import FAILED, RUN_OVER, RunStatus, StepState
from flow_kernel.workflow.views import Run, run_of

_AGAIN: Final = FAILED | {StepState.CANCELLED, StepState.RUNNING}


class Book:
    """See the module.

    Args:
        store: Of the home.
        home: Where large values and files of runs lie.
        now: UTC with milliseconds.
    """

    def __init__(self, store: Store, home: Home, now: Callable[[], str]) -> None:
        self._store = store
        self._home = home
        self._objects = Objects(home)
        self._now = now

    # -- asking ------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            NotFound: There is none of that id.
        """
        with self._store.read() as view:
            return self._run(view, _known(view, run_id))

    def runs(self, *, limit: int = -1) -> list[Run]:
        """The newest runs, the newest first."""
        with self._store.read() as view:
            return [self._run(view, row) for row in view.runs(limit=limit)]

    def rows(self, *, limit: int = -1) -> list[RunRow]:
        """The newest runs without their steps, the newest first."""
        with self._store.read() as view:
            return view.runs(limit=limit)

    def page(self, *, before: str | None, limit: int) -> list[RunRow]:
        """Runs without their steps that are older than one, the newest first."""
        with self._store.read() as view:
            return view.run_page(before=before, limit=limit)

    def workflow_of(self, run_id: str) -> Workflow:
        """The definition that a run has.

        Raises:
            NotFound: There is no such run, or its definition is lost.
        """
        with self._store.read() as view:
            row = _known(view, run_id)
            found = _workflow(view, row.sha256)
        if found is None:
            raise NotFound(f"the definition of {run_id} is lost; start it from its file again")
        return found

    def stored(self, workflow_id: str) -> Workflow | None:
        """The definition that is stored under an id."""
        with self._store.read() as view:
            known = {name: sha256 for name, sha256, _ in view.workflows()}
            return _workflow(view, known[workflow_id]) if workflow_id in known else None

    def unfinished(self) -> list[RunRow]:
        """Runs that are not over and that no process works on, oldest first."""
        with self._store.read() as view:
            rows = view.unfinished_runs()
        return [row for row in rows if not self.is_worked_on(row)]

    def last_of(self, workflow: str) -> str | None:
        """The newest run of a workflow."""
        return next((row.run_id for row in self.rows() if row.workflow == workflow), None)

    def is_worked_on(self, row: RunRow) -> bool:
        """True where a process that lives works on a run."""
        owner, here = _owner_of(row), this_process()
        if owner is None or not is_alive(owner, here):
            return False
        # This process may have given it up, because the store refused.
        return owner != here or is_held(self._home, row.run_id)

    # -- changing ----------------------------------------------------------------------------------

    def store_workflow(self, workflow: Workflow) -> None:
        """Keep a definition under its name; it is started by that from now on."""
        sha256, document = encoded(workflow)
        with self._store.write() as change:
            change.put_workflow_document(sha256, document)
            change.put_workflow(workflow.name, sha256, at=self._now())

    def begin(
        self,
        workflow: Workflow,
        variables: Mapping[str, bytes],
        options: RunOptions,
        *,
        task: tuple[str, str],
        reused: Reused | None = None,
    ) -> RunRow:
        """Make a run, which this process works on from now on.

        Args:
            workflow: Its definition.
            variables: What it begins with, as JSON.
            options: How it is run.
            task: Plan and id of the task that it belongs to.
            reused: Results of an earlier run that it takes.
        """
        sha256, document = encoded(workflow)
        rows = [RunVariable(name, *self._placed(value), "") for name, value in variables.items()]
        with self._store.write(is_durable=options.is_durable) as change:
            at = self._now()
            change.put_workflow_document(sha256, document)
            run = RunRow(
                run_id=change.new_run_id(),
                workflow=workflow.name,
                sha256=sha256,
                plan_id=task[0],
                task_id=task[1],
                status=RunStatus.PENDING,
                options=options.as_json(),
                owner=_me(),
                created_at=at,
            )
            change.put_run(run, at=at)
            for row in rows:
                change.put_run_variable(run.run_id, row)
            if reused is not None:
                _put_reused(change, run, reused, at=at)
        return run

    def claim(self, run_id: str, *, again: bool = False, waits: bool = False) -> RunRow:
        """Take a run that nobody works on.

        Args:
            run_id: Of the run.
            again: True to run the steps again that have failed or were cancelled, and those that
                were skipped for that.
            waits: True to wait for answers in place of parking it again.

        Raises:
            NotFound: There is no such run.
            IllegalTransition: It is over, or another process works on it.
        """
        with self._store.write() as change:
            at = self._now()
            row = _known(change, run_id)
            if self.is_worked_on(row):
                raise IllegalTransition(
                    f"process {_owner_of(row).pid} works on {run_id}; nothing was changed",  # type: ignore[union-attr]  # it has one
                    hint=f"see: jupyter flow runs show {run_id}",
                )
            if row.status in RUN_OVER and not again:
                raise IllegalTransition(
                    f"{run_id} is over ({row.status}); nothing was changed",
                    hint=f"to run what failed again: jupyter flow resume {run_id} --failed",
                )
            if again:
                _forget_failures(change, row)
            run = replace(
                row,
                owner=_me(),
                status=RunStatus.RUNNING,
                options=replace(options_of(row.options), waits=waits).as_json(),
                completed_at=None,
                output_data=None,
            )
            change.put_run(run, at=at)
        return run

    def park(self, run: RunRow) -> None:
        """Nobody works on a run any more, and it is not over; a store that refuses is let be."""
        with suppress(FlowError), self._store.write() as change:
            row = _known(change, run.run_id)
            if row.owner == run.owner:
                change.put_run(replace(row, owner=""), at=self._now())

    def as_mapped(self, workflow: Workflow, rows: Sequence[RunStepRow]) -> Reused:
        """Steps of an earlier run with the variables that they set by the definition of today.

        A step that is not in it, or whose output lacks what it maps, is left out.

        Raises:
            StoreDamaged: An output is lost.
        """
        steps = {step.id: step for step in workflow.steps}
        taken: list[RunStepRow] = []
        variables: list[RunVariable] = []
        for row in rows:
            step = steps.get(row.step_id)
            if step is None:
                continue
            sets: dict[str, bytes] = {}
            if step.output_mapping:
                sets = Decider.sets(step, self._output(row))
                if len(sets) < len(step.output_mapping):
                    continue
            taken.append(row)
            variables += [RunVariable(n, *self._placed(raw), step.id) for n, raw in sets.items()]
        return Reused(taken, variables)

    # -- inside ------------------------------------------------------------------------------------

    def _run(self, view: Reading, row: RunRow) -> Run:
        rows = {each.step_id: each for each in view.run_steps(row.run_id)}
        return run_of(row, _workflow(view, row.sha256), rows)

    def _output(self, row: RunStepRow) -> bytes:
        if row.output_object is not None:
            return self._objects.get(row.output_object)
        return (row.output or "{}").encode()

    def _placed(self, value: bytes) -> tuple[str | None, str | None]:
        if len(value) < LARGE_BYTES:
            return value.decode(), None
        return None, self._objects.put(value)


def encoded(workflow: Workflow) -> tuple[str, str]:
    """SHA-256 and text of a definition; raises WorkflowInvalid."""
    try:
        data = orjson.dumps(spec.as_document(workflow))
    except orjson.JSONEncodeError as error:
        where = repr(workflow.directory[:200])
        raise WorkflowInvalid(
            f"{workflow.name[:60]} cannot be kept, so nothing was run",
            problems=(f"{where}: a path or a text in it is no UTF-8 ({error})",),
        ) from None
    return hashlib.sha256(data).hexdigest(), data.decode()


def checked_id(run_id: str) -> str:
    """An id as it is stored; raises UsageError."""
    clean = run_id.strip().upper()
    if not (clean.startswith("R-") and clean[2:].isdecimal() and 4 <= len(clean[2:]) <= 9):
        raise UsageError(f'"{run_id[:60]}" is no run id', hint="run ids look like R-0001")
    return clean


def _owner_of(row: RunRow) -> ProcessId | None:
    return ProcessId(**orjson.loads(row.owner)) if row.owner else None


def _me() -> str:
    return orjson.dumps(asdict(this_process())).decode()


def _known(view: Reading, run_id: str) -> RunRow:
    found = view.run(checked_id(run_id))
    if found is None:
        raise NotFound(f"there is no run {run_id}", hint="see: jupyter flow runs")
    return found


def _workflow(view: Reading, sha256: str) -> Workflow | None:
    document = view.workflow_document(sha256)
    return None if document is None else spec.from_document(orjson.loads(document))


def _put_reused(change: Writing, run: RunRow, reused: Reused, *, at: str) -> None:
    for row in reused.steps:
        change.put_run_step(replace(row, run_id=run.run_id), run, at=at)
    for variable in reused.variables:
        change.put_run_variable(run.run_id, variable)


def _forget_failures(change: Writing, run: RunRow) -> None:
    """What failed, was cancelled or was skipped for that, is as if it had never begun."""
    rows: Sequence[RunStepRow] = change.run_steps(run.run_id)
    gone = [row.step_id for row in rows if _is_to_run_again(row)]
    change.remove_run_steps(run.run_id, gone)


def _is_to_run_again(row: RunStepRow) -> bool:
    error: dict[str, Any] = error_of(row)
    return StepState(row.state) in _AGAIN or error.get("type") == "AfterFailure"
