"""The runs of workflows that belong to a task, as its report shows them.

Called by `reports` and for `%task show`. What draws the picture of a run is given from above, where
workflows are known; without it a run is told in words.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from flow_kernel.records.plain import human_ms, one_line
from flow_kernel.session.flow import Flow
from flow_kernel.session.task_text import took_text
from flow_kernel.store.contract import Reading, TaskRow
from flow_kernel.store.run_rows import RunRow, RunStepRow

Draw = Callable[[Flow, str], str]
"""The picture of a run as HTML that may stand in a page, by its id."""
_WITH_STEPS: Final = 20
"""The newest runs of a task are told with their steps, the others on a line."""
_MOST_STEPS: Final = 50
_LATER: Final = ("pending", "skipped")

Place = tuple[str, str]
"""Plan and id of a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportStep:
    """A step of a run, as it was left."""

    name: str
    state: str
    attempt: int = 0
    elapsed_ms: float | None = None
    error: str = ""
    reused_from: str = ""
    approval_id: str = ""

    @property
    def note(self) -> str:
        """`ok · 1.2 s · attempt 2`."""
        parts = [self.state]
        if self.reused_from:
            parts.append(f"from {self.reused_from}")
        elif self.elapsed_ms is not None:
            parts.append(human_ms(self.elapsed_ms))
        if self.attempt > 1:
            parts.append(f"attempt {self.attempt}")
        if self.approval_id:
            parts.append(self.approval_id)
        return " · ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRun:
    """A run of a task.

    Attributes:
        row: As it is stored.
        steps: In the order of the definition; empty for one of the older runs.
        picture: HTML; empty where nobody draws.
    """

    row: RunRow
    steps: tuple[ReportStep, ...] = ()
    picture: str = ""

    @property
    def title(self) -> str:
        """`R-0001 etl`."""
        return f"{self.row.run_id} {one_line(self.row.workflow, 60)}"

    @property
    def note(self) -> str:
        """`failed · 2 of 3 steps ok · 1.2 s · b failed`."""
        parts = [self.row.status]
        if self.steps:
            good = sum(step.state == "ok" for step in self.steps)
            parts.append(f"{good:,} of {len(self.steps):,} steps ok")
        parts += [took_text(self.row.started_at, self.row.completed_at), self.row.reason]
        return " · ".join(one_line(part, 80) for part in parts if part)

    @property
    def told(self) -> tuple[list[ReportStep], str]:
        """The steps that are told one by one, and how many of which state the others are."""
        shown, left = self.steps[:_MOST_STEPS], self.steps[_MOST_STEPS:]
        counts = Counter(step.state for step in left)
        return [*shown], ", ".join(f"{count:,} {state}" for state, count in counts.items())


def rows_by_task(flow: Flow) -> dict[Place, list[RunRow]]:
    """All runs of the home by task, the newest first."""
    with flow.store.read() as view:
        rows = view.runs()
    found: dict[Place, list[RunRow]] = {}
    for row in rows:
        found.setdefault((row.plan_id, row.task_id), []).append(row)
    return found


def runs_of_task(flow: Flow, task: TaskRow) -> list[ReportRun]:
    """The runs of one task in words, oldest first."""
    return runs_of(flow, rows_by_task(flow).get((task.plan_id, task.task_id), []))


def runs_of(flow: Flow, rows: Sequence[RunRow], *, draw: Draw | None = None) -> list[ReportRun]:
    """Runs with their steps, oldest first.

    Args:
        flow: The state of the home.
        rows: Of one task, the newest first.
        draw: Draws them; None where there is no place for pictures.
    """
    found = [ReportRun(row=row) for row in rows[_WITH_STEPS:]]
    with flow.store.read() as view:
        steps = {row.run_id: _steps(view, row) for row in rows[:_WITH_STEPS]}
    for row in rows[:_WITH_STEPS]:
        picture = "" if draw is None else draw(flow, row.run_id)
        found.append(ReportRun(row=row, steps=steps[row.run_id], picture=picture))
    return sorted(found, key=lambda run: (run.row.created_at, run.row.run_id))


def as_documents(runs: Iterable[ReportRun]) -> list[dict[str, object]]:
    """Runs for programs."""
    return [
        {
            "run_id": run.row.run_id,
            "workflow": run.row.workflow,
            "status": run.row.status,
            "reason": run.row.reason,
            "started_at": run.row.started_at,
            "completed_at": run.row.completed_at,
            "steps": [
                {
                    "name": step.name,
                    "state": step.state,
                    "attempt": step.attempt,
                    "elapsed_ms": step.elapsed_ms,
                    "error": step.error or None,
                    "reused_from": step.reused_from or None,
                    "approval_id": step.approval_id or None,
                }
                for step in run.steps
            ],
        }
        for run in runs
    ]


def _steps(view: Reading, row: RunRow) -> tuple[ReportStep, ...]:
    rows = {each.step_id: each for each in view.run_steps(row.run_id)}
    document = view.workflow_document(row.sha256)
    named = [] if document is None else orjson.loads(document)["steps"]
    names: Mapping[str, str] = {each["id"]: each.get("name", each["id"]) for each in named}
    return tuple(_step(names.get(each, each), rows.get(each)) for each in names or rows)


def _step(name: str, row: RunStepRow | None) -> ReportStep:
    if row is None:
        return ReportStep(name=name, state="pending")
    error = orjson.loads(row.error) if row.error else {}
    told = f"{error.get('type')}: {error.get('message')}" if error else ""
    return ReportStep(
        name=name,
        state=row.state,
        attempt=row.attempt,
        elapsed_ms=row.elapsed_ms,
        error="" if row.state in _LATER else one_line(told, 200),
        reused_from=row.reused_from or "",
        approval_id=row.approval_id or "",
    )
