"""Runs as people and programs see them: status, steps, what came out.

Built by `book`; shown by the command line, the magics and reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from flow_kernel.store.run_rows import RunRow, RunStepRow
from flow_kernel.workflow.ledger import error_of
from flow_kernel.workflow.model import Step, Workflow
from flow_kernel.workflow.states import RunStatus, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class StepView:
    """One step of a run.

    Attributes:
        id: Of the step.
        name: For people.
        state: pending, running, ok, error, timeout, blocked, skipped, waiting or cancelled.
        attempt: How often it was begun; 0 where it was not.
        executor: What it runs in.
        started_at: When its last attempt began.
        elapsed_ms: Of its last attempt.
        error: `{"type", "message", …}`; None where there is none.
        logs: What it wrote to stderr.
        approval_id: The question that it asks.
        reused_from: The run that its result is taken from.
    """

    id: str
    name: str
    state: StepState
    attempt: int = 0
    executor: str = ""
    started_at: str | None = None
    elapsed_ms: float | None = None
    error: Mapping[str, Any] | None = None
    logs: str = ""
    approval_id: str | None = None
    reused_from: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As `runs` tells it."""
        said: dict[str, Any] = {
            "id": self.id,
            "name": self.name,
            "state": str(self.state),
            "attempt": self.attempt,
            "elapsed_ms": self.elapsed_ms,
            "error": dict(self.error) if self.error else None,
        }
        for name in ("executor", "started_at", "approval_id", "reused_from"):
            said[name] = getattr(self, name) or None
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a workflow, as it is stored.

    Attributes:
        run_id: `R-0001`.
        workflow: Name of the workflow.
        status: pending, running, waiting, success, failed or cancelled.
        reason: Why, where it is none of running and success.
        task: Plan and id of its task.
        started_at: UTC.
        completed_at: UTC; None while it is not over.
        output_data: What came out of it; None while it is not over.
        steps: In the order of the definition.
    """

    run_id: str
    workflow: str
    status: RunStatus
    reason: str
    task: tuple[str, str]
    started_at: str | None
    completed_at: str | None
    output_data: Any
    steps: tuple[StepView, ...]

    @property
    def success(self) -> bool:
        """True where it ended well."""
        return self.status == RunStatus.SUCCESS

    def step(self, step_id: str) -> StepView:
        """One of its steps; raises KeyError."""
        for each in self.steps:
            if each.id == step_id:
                return each
        raise KeyError(step_id)

    def as_dict(self) -> dict[str, Any]:
        """As `runs` tells it."""
        return {
            "run_id": self.run_id,
            "workflow": self.workflow,
            "status": str(self.status),
            "reason": self.reason,
            "plan_id": self.task[0],
            "task_id": self.task[1],
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "output_data": self.output_data,
            "steps": [step.as_dict() for step in self.steps],
        }

    def __str__(self) -> str:
        """One line."""
        done = sum(step.state == StepState.OK for step in self.steps)
        reason = f" ({self.reason})" if self.reason else ""
        steps = f"{done} of {len(self.steps)} steps ok"
        return f"{self.run_id} {self.workflow}: {self.status}{reason}, {steps}"


def run_of(row: RunRow, workflow: Workflow | None, rows: Mapping[str, RunStepRow]) -> Run:
    """A run out of its rows.

    Args:
        row: Of the run.
        workflow: Its definition; None where it is lost.
        rows: Of its steps.
    """
    steps = (
        [_step_of(step, rows.get(step.id)) for step in workflow.steps]
        if workflow is not None
        else [_view(each.step_id, each.step_id, each) for each in rows.values()]
    )
    return Run(
        run_id=row.run_id,
        workflow=row.workflow,
        status=RunStatus(row.status),
        reason=row.reason,
        task=(row.plan_id, row.task_id),
        started_at=row.started_at,
        completed_at=row.completed_at,
        output_data=None if row.output_data is None else orjson.loads(row.output_data),
        steps=tuple(steps),
    )


def _step_of(step: Step, row: RunStepRow | None) -> StepView:
    if row is None:
        return StepView(id=step.id, name=step.name, state=StepState.PENDING)
    return _view(step.id, step.name, row)


def _view(step_id: str, name: str, row: RunStepRow) -> StepView:
    return StepView(
        id=step_id,
        name=name,
        state=StepState(row.state),
        attempt=row.attempt,
        executor=row.executor,
        started_at=row.started_at,
        elapsed_ms=row.elapsed_ms,
        error=error_of(row) or None,
        logs=row.logs,
        approval_id=row.approval_id,
        reused_from=row.reused_from,
    )
