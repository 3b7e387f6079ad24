"""Orders for executors: what a step runs with, down to its variables file.

Used by `runner` for each attempt.
"""

import os
from pathlib import Path
from typing import Any

from flow_kernel.workers.limits import Limits
from flow_kernel.workflow.deciding import Decision
from flow_kernel.workflow.executors.contract import Order
from flow_kernel.workflow.ledger import Ledger, error_of
from flow_kernel.workflow.mapping import ERROR, FLOW, idempotency_key
from flow_kernel.workflow.model import Step, StepType, Workflow
from flow_kernel.workflow.options import RunOptions
from flow_kernel.workflow.scripts import Scripts
from flow_kernel.workflow.states import FAILED


class Orders:
    """See the module.

    Args:
        workflow: Whose steps.
        ledger: Of the run.
        scripts: Of the workflow.
        options: Of the run.
        store_id: Of the home.
    """

    def __init__(
        self,
        workflow: Workflow,
        ledger: Ledger,
        *,
        scripts: Scripts,
        options: RunOptions,
        store_id: str,
    ) -> None:
        self._workflow = workflow
        self._ledger = ledger
        self._scripts = scripts
        self._options = options
        self._store_id = store_id
        self.numbers: dict[str, int] = {step.id: at for at, step in enumerate(workflow.steps, 1)}
        """The place of each step in the definition, from 1."""

    def order(self, step: Step, decision: Decision, *, attempt: int) -> Order:
        """One attempt of `step` with what was decided of it."""
        options = self._options
        return Order(
            run_id=self._ledger.run.run_id,
            step_id=step.id,
            number=self.numbers[step.id],
            attempt=attempt,
            step_type=step.step_type,
            source=step.code,
            filename=self._scripts.file_of(step),
            beside=os.path.dirname(step.file) if step.file else self._workflow.directory,  # noqa: PTH120 - texts
            notebook=step.file if step.step_type == StepType.NOTEBOOK else None,
            variables=self._variables(step, decision, attempt=attempt),
            directory=self._workflow.directory,
            limits=Limits(
                timeout_s=step.timeout_s,
                memory_bytes=step.resources.memory_bytes or None,
                output_bytes=options.output_bytes,
            ),
            cpu=step.resources.cpu,
            keep_in=Path(options.keep_in) if options.keep_in else None,
        )

    def _variables(self, step: Step, decision: Decision, *, attempt: int) -> bytes:
        run_id = self._ledger.run.run_id
        extra: dict[str, object] = {
            FLOW: {
                "run_id": run_id,
                "step_id": step.id,
                "attempt": attempt,
                "idempotency_key": idempotency_key(run_id, step.id, self._store_id),
            }
        }
        if step.is_handler:
            extra[ERROR] = self._error_for(step)
        return decision.seen.document(decision.inputs, extra)

    def _error_for(self, handler: Step) -> dict[str, Any] | None:
        """What a handler is told of the first step that has failed."""
        for step in self._workflow.steps:
            row = self._ledger.rows.get(step.id)
            if step.handler == handler.id and row is not None and row.state in FAILED:
                return {"step_id": step.id, "state": row.state, **error_of(row)}
        return None
