"""The book of one run: what the store holds of it, and each change as one transaction.

Built by `service`; called by `runner` and `asking`. The end of a step, the variables that it sets
and the beginning of the steps that follow it are one transaction, so a run that is killed at any
moment goes on with every finished step finished, and no other.

With `is_durable` each transaction is on the disk, power loss or not, before anything else happens;
without, it survives every death of the process, and a power loss may take the last ones.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from flow_kernel.errors import StoreDamaged
from flow_kernel.store.contract import ApprovalRow, Store, Writing
from flow_kernel.store.run_rows import RunRow, RunStepRow, RunVariable, StepResult
from flow_kernel.workflow.asking import used
from flow_kernel.workflow.mapping import Values
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.objects import LARGE_BYTES, Objects
from flow_kernel.workflow.states import StepState
from flow_kernel.workflow.upstream import Upstream

_MOST_DATA_BYTES: Final = 1_000_000
"""Of what came out of a run: beyond that, large values stand there by their hash."""
_REFUSED: Final = frozenset({"AfterFailure"})
"""Types of errors of steps that were skipped because something had failed."""


@dataclass(slots=True)
class Changes:
    """What one transaction says."""

    steps: list[RunStepRow] = field(default_factory=list)
    variables: list[RunVariable] = field(default_factory=list)
    results: list[tuple[str, StepResult]] = field(default_factory=list)
    answers: list[ApprovalRow] = field(default_factory=list)
    run: RunRow | None = None

    def __bool__(self) -> bool:
        return bool(self.steps or self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """What came of the last attempt of a step."""

    state: StepState
    executor: str
    elapsed_ms: float
    error: Mapping[str, Any] | None
    output: bytes | None
    logs: str


class Ledger:
    """See the module.

    Args:
        store: Of the home.
        objects: Of the home.
        run: As it is stored.
        upstream: Of its workflow.
        now: UTC with milliseconds.
        is_durable: See the module.
    """

    def __init__(
        self,
        store: Store,
        objects: Objects,
        *,
        run: RunRow,
        upstream: Upstream,
        now: Callable[[], str],
        is_durable: bool = False,
    ) -> None:
        self._store = store
        self._objects = objects
        self.now: Callable[[], str] = now
        self._is_durable = is_durable
        self.run: RunRow = run
        self.rows: dict[str, RunStepRow] = {}
        """Of the steps that have begun, or never will, as the next transaction leaves them."""
        self.values: Values = Values(upstream)

    # -- reading -----------------------------------------------------------------------------------

    def load(self, defaults: Mapping[str, bytes]) -> None:
        """Read what is stored of the run.

        Args:
            defaults: Variables of the definition, as JSON.
        """
        self.values.initial = dict(defaults)
        with self._store.read() as view:
            rows = view.run_steps(self.run.run_id)
            variables = view.run_variables(self.run.run_id)
        self.rows = {row.step_id: row for row in rows}
        for each in variables:
            raw = self._bytes(each.value, each.object)
            if each.step_id:
                self.values.set(each.step_id, {each.name: raw})
            else:
                self.values.initial[each.name] = raw
        for row in rows:
            if row.output is not None or row.output_object is not None:
                self.values.say(row.step_id, self._bytes(row.output, row.output_object))

    def states(self) -> dict[str, StepState]:
        """The state of each step that is over or waits; a running one has to begin again."""
        states = {name: StepState(row.state) for name, row in self.rows.items()}
        return {name: state for name, state in states.items() if state != StepState.RUNNING}

    def unhelpful(self) -> set[str]:
        """Steps that were skipped because something had failed."""
        return {
            name
            for name, row in self.rows.items()
            if row.state == StepState.SKIPPED and error_of(row).get("type") in _REFUSED
        }

    def step_result(self, cache_key: str) -> tuple[bytes, str] | None:
        """A result that was kept, and the run that it comes from."""
        with self._store.read() as view:
            found = view.step_result(cache_key)
        if found is None:
            return None
        try:
            return self._bytes(found.output, found.output_object), found.run_id
        except OSError:  # its object was pruned: the step runs
            return None

    # -- writing -----------------------------------------------------------------------------------

    def write(self, changes: Changes) -> None:
        """All of it, or nothing.

        Raises:
            StoreError: The store refuses.
        """
        with self._store.write(is_durable=self._is_durable) as change:
            self._put(change, changes)
        if changes.run is not None:
            self.run = changes.run

    def park(self, changes: Changes) -> bool:
        """`write` for a run that waits, unless an answer came in; False where nothing was written.

        Who answers after this finds a run that nobody works on, and has it go on.
        """
        with self._store.write(is_durable=self._is_durable) as change:
            for row in self.rows.values():
                if row.state == StepState.WAITING:
                    question = change.approval(row.approval_id or "")
                    if question is not None and question.status != "open":
                        return False
            self._put(change, changes)
        if changes.run is not None:
            self.run = changes.run
        return True

    def _put(self, change: Writing, changes: Changes) -> None:
        at = self.now()
        run = changes.run or self.run
        if changes.run is not None and change.run(run.run_id) is None:
            raise StoreDamaged(
                f"{run.run_id} is in the store no more, which was replaced while the run went on",
                hint="what its steps have done stays done; run it again",
            )
        for row in changes.steps:
            change.put_run_step(row, run, at=at)
        for variable in changes.variables:
            change.put_run_variable(run.run_id, variable)
        for cache_key, result in changes.results:
            change.put_step_result(cache_key, result, at=at)
        for answer in changes.answers:
            used(change, answer, at=at)
        if changes.run is not None:
            change.put_run(changes.run, at=at)

    # -- rows --------------------------------------------------------------------------------------

    def begun(self, step: Step, number: int, *, attempt: int, executor: str) -> RunStepRow:
        """The row of an attempt that begins."""
        return RunStepRow(
            run_id=self.run.run_id,
            step_id=step.id,
            number=number,
            state=StepState.RUNNING,
            attempt=attempt,
            executor=executor,
            started_at=self.now(),
        )

    def over(
        self,
        row: RunStepRow,
        state: StepState,
        *,
        error: Mapping[str, Any] | None = None,
        logs: str = "",
        elapsed_ms: float | None = None,
    ) -> RunStepRow:
        """The row of a step that is over without an output, or that has one put in later."""
        return replace(
            row,
            state=state,
            ended_at=self.now(),
            elapsed_ms=elapsed_ms,
            error=None if error is None else orjson.dumps(error, default=str).decode(),
            logs=logs,
        )

    def ended(self, row: RunStepRow, end: End) -> RunStepRow:
        """The row of a step whose last attempt has ended, in one go: it is on the way of each."""
        value = name = None
        if end.output is not None:
            value, name = self._placed(end.output)
            self.values.say(row.step_id, end.output)
        return RunStepRow(
            run_id=row.run_id,
            step_id=row.step_id,
            number=row.number,
            state=end.state,
            attempt=row.attempt,
            executor=end.executor or row.executor,
            started_at=row.started_at,
            ended_at=self.now(),
            elapsed_ms=round(end.elapsed_ms, 3),
            error=None if end.error is None else orjson.dumps(end.error, default=str).decode(),
            output=value,
            output_object=name,
            logs=end.logs,
        )

    def with_output(self, row: RunStepRow, output: bytes) -> RunStepRow:
        """The row with its output, which is an object of the home where it is large."""
        value, name = self._placed(output)
        self.values.say(row.step_id, output)
        return replace(row, output=value, output_object=name)

    def variables(self, values: Mapping[str, bytes], *, step_id: str) -> list[RunVariable]:
        """The rows of variables that a step sets."""
        self.values.set(step_id, values)
        return [RunVariable(name, *self._placed(raw), step_id) for name, raw in values.items()]

    def result(self, row: RunStepRow) -> StepResult:
        """What may be taken for steps of the same code and inputs."""
        return StepResult(row.output, row.output_object, self.run.run_id)

    def run_row(self, **changes: Any) -> RunRow:
        """The run with changes."""
        return replace(self.run, **changes)

    def output_data(self) -> str:
        """What came out of the run, as JSON: variables that steps have set, else their outputs."""
        chosen = self.values.final()
        if sum(map(len, chosen.values())) > _MOST_DATA_BYTES:
            chosen = {name: _named_if_large(raw) for name, raw in chosen.items()}
        said = {name: orjson.Fragment(raw) for name, raw in sorted(chosen.items())}
        return orjson.dumps(said).decode()

    # -- values ------------------------------------------------------------------------------------

    def _placed(self, value: bytes) -> tuple[str | None, str | None]:
        if len(value) < LARGE_BYTES:
            return value.decode(), None
        return None, self._objects.put(value, is_durable=self._is_durable)

    def _bytes(self, value: str | None, name: str | None) -> bytes:
        if value is not None:
            return value.encode()
        return b"null" if name is None else self._objects.get(name)


def _named_if_large(raw: bytes) -> bytes:
    if len(raw) < LARGE_BYTES:
        return raw
    return orjson.dumps({"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)})


def error_of(row: RunStepRow) -> dict[str, Any]:
    """The error of a step, taken apart; empty where there is none."""
    found = orjson.loads(row.error) if row.error else {}
    return found if isinstance(found, dict) else {}


def skipped(row: RunStepRow, reason: str, *, is_failure: bool) -> RunStepRow:
    """The row of a step that will not run."""
    kind = "AfterFailure" if is_failure else "NotNeeded"
    error = orjson.dumps({"type": kind, "message": reason}).decode()
    return replace(row, state=StepState.SKIPPED, started_at=None, error=error)
