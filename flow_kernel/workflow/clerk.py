"""Writes down what becomes of steps: a row for the next transaction, and an event for after it.

Used by `runner`. Nobody is told of anything that is not stored yet.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from flow_kernel.store.contract import ApprovalRow
from flow_kernel.store.run_rows import RunStepRow
from flow_kernel.workflow import asking, events
from flow_kernel.workflow.attempt import Attempted
from flow_kernel.workflow.deciding import Decider, Decision
from flow_kernel.workflow.ledger import Changes, End, Ledger, skipped
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.states import RunStatus, StepState


class Clerk:
    """See the module.

    Args:
        ledger: Of the run.
        numbers: The place of each step in its definition.
        tell: Told what happens, once it is stored.
    """

    def __init__(self, ledger: Ledger, numbers: Mapping[str, int], tell: events.Tell) -> None:
        self._ledger = ledger
        self._numbers = numbers
        self._tell = tell
        self._changes = Changes()
        self._told: list[events.Event] = []

    def write(self) -> None:
        """Store what was written down, and tell of it.

        Raises:
            StoreError: The store refuses; nothing was told.
        """
        changes, self._changes = self._changes, Changes()
        if changes:
            self._ledger.write(changes)
        told, self._told = self._told, []
        for event in told:
            self._tell(event)

    # -- the run -----------------------------------------------------------------------------------

    def run_begins(self) -> None:
        """It runs."""
        run = self._ledger.run
        self._changes.run = self._ledger.run_row(
            status=RunStatus.RUNNING,
            reason="",
            output_data=None,
            completed_at=None,
            started_at=run.started_at or self._ledger.now(),
        )

    def run_ends(self, status: RunStatus, reason: str) -> bool:
        """It is over, or parked, and stored so; nobody works on it.

        False where it cannot be parked, as what it waits for is there by now.
        """
        is_over = status != RunStatus.WAITING
        self._changes.run = self._ledger.run_row(
            status=status,
            reason=reason,
            owner="",
            output_data=self._ledger.output_data() if is_over else None,
            completed_at=self._ledger.now() if is_over else None,
        )
        if is_over:
            self.write()
            return True
        changes, self._changes = self._changes, Changes()
        return self._ledger.park(changes)

    # -- steps -------------------------------------------------------------------------------------

    def begins(self, step: Step, *, executor: str) -> RunStepRow:
        """An attempt begins. Returns its row."""
        before = self._ledger.rows.get(step.id)
        count = 1 if before is None else before.attempt + 1
        row = self._ledger.begun(step, self._numbers[step.id], attempt=count, executor=executor)
        self._put(row)
        self._told.append(events.StepBegan(step=step, attempt=count, executor=executor))
        return row

    def ended(self, step: Step, attempted: Attempted, cache_key: str | None) -> None:
        """Its last attempt has ended."""
        logs = attempted.logs
        for warning in attempted.warnings:
            self._told.append(events.Warned(step=step, message=warning))
            logs += f"\nwarning: {warning}" if logs else f"warning: {warning}"
        end = End(
            state=attempted.state,
            executor=attempted.how,
            elapsed_ms=attempted.elapsed_ms,
            error=attempted.error,
            output=attempted.output,
            logs=logs,
        )
        row = self._ledger.ended(self._ledger.rows[step.id], end)
        if attempted.state == StepState.OK:
            self._sets(step, attempted.sets)
            if cache_key is not None:
                self._changes.results.append((cache_key, self._ledger.result(row)))
        self._note(step, row, attempted.error)

    def decided(self, step: Step, decision: Decision) -> None:
        """It is over without a process."""
        state = decision.state or StepState.ERROR
        row = self._without_process(step, state, decision.error)
        if state == StepState.SKIPPED:
            row = skipped(row, decision.reason, is_failure=False)
        if decision.output is not None:
            row = replace(
                self._ledger.with_output(row, decision.output), reused_from=decision.reused_from
            )
            self._sets(step, decision.sets)
        self._note(step, row, decision.error)

    def skipped(self, step: Step, reason: str, *, is_failure: bool) -> None:
        """It never runs: something failed, or nothing that it handles did."""
        row = self._without_process(step, StepState.SKIPPED, None)
        self._note(step, skipped(row, reason, is_failure=is_failure), None)

    def failed(self, step: Step, error: Mapping[str, Any]) -> None:
        """It failed before it could begin."""
        self._note(step, self._without_process(step, StepState.ERROR, error), error)

    def cancelled(self, step: Step) -> None:
        """The run was stopped while it ran, or before."""
        error = {"type": "Cancelled", "message": "the run was stopped"}
        before = self._ledger.rows.get(step.id)
        if before is None:
            row = self._without_process(step, StepState.CANCELLED, error)
        else:
            row = self._ledger.over(before, StepState.CANCELLED, error=error)
        self._note(step, row, error)

    # -- questions ---------------------------------------------------------------------------------

    def asked(self, step: Step, question: ApprovalRow) -> None:
        """It waits for an answer."""
        row = self._ledger.begun(step, self._numbers[step.id], attempt=1, executor="")
        row = replace(row, state=StepState.WAITING, approval_id=question.approval_id)
        self._note(step, row, None)

    def answered(self, step: Step, answer: ApprovalRow) -> StepState:
        """The answer is there. Returns what it makes of the step."""
        state = asking.state_of(answer)
        before = self._ledger.rows.get(step.id)
        if before is None:
            before = self._ledger.begun(step, self._numbers[step.id], attempt=1, executor="")
        error = None if state in (StepState.OK, StepState.SKIPPED) else asking.refusal_of(answer)
        row = replace(self._ledger.over(before, state, error=error), approval_id=answer.approval_id)
        if state == StepState.SKIPPED:
            row = skipped(row, f"{answer.approval_id} was skipped", is_failure=False)
        if state == StepState.OK:
            output = orjson.dumps(asking.output_of(answer))
            row = self._ledger.with_output(row, output)
            self._sets(step, Decider.sets(step, output))
        self._changes.answers.append(answer)
        self._note(step, row, error)
        return state

    # -- inside ------------------------------------------------------------------------------------

    def _without_process(
        self, step: Step, state: StepState, error: Mapping[str, Any] | None
    ) -> RunStepRow:
        row = self._ledger.begun(step, self._numbers[step.id], attempt=0, executor="")
        return self._ledger.over(row, state, error=error)

    def _sets(self, step: Step, values: Mapping[str, bytes]) -> None:
        self._changes.variables += self._ledger.variables(values, step_id=step.id)

    def _put(self, row: RunStepRow) -> None:
        self._changes.steps.append(row)
        self._ledger.rows[row.step_id] = row

    def _note(self, step: Step, row: RunStepRow, error: Mapping[str, Any] | None) -> None:
        self._put(row)
        self._told.append(events.StepEnded(step=step, row=row, error=error))
