"""Runs of workflows out of the changes that logs hold (pure).

Called by `rebuild`. A log holds how a run and its steps went, and neither its definition nor what
came out of it: a run that had not ended cannot go on, and says so.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import orjson

from flow_kernel.store.run_rows import RunRow, RunStepRow

LOST: Final = "its definition, its variables and what came out of it are in no log"
_OVER: Final = frozenset({"success", "failed", "cancelled"})
_STEP_OVER: Final = frozenset({"ok", "error", "timeout", "blocked", "skipped", "cancelled"})


def is_of_step(fields: Mapping[str, object]) -> bool:
    """True where a change is one of a step."""
    return "step_id" in fields


def run_of(fields: Mapping[str, object], place: tuple[str, str], *, at: str) -> RunRow | None:
    """The run that a change tells of; None where it does not tell enough."""
    run_id, status = fields.get("run_id"), fields.get("status")
    if type(run_id) is not str or type(status) is not str:
        return None
    return RunRow(
        run_id=run_id,
        workflow=str(fields.get("workflow", "")),
        sha256=str(fields.get("workflow_sha256", "")),
        plan_id=place[0],
        task_id=place[1],
        status=status,
        reason=str(fields.get("reason") or ""),
        created_at=str(fields.get("created_at") or at),
        started_at=_text(fields.get("started_at")),
        completed_at=_text(fields.get("completed_at")),
    )


def step_of(
    fields: Mapping[str, object], before: RunStepRow | None, *, at: str
) -> RunStepRow | None:
    """The step of a run that a change tells of, after what earlier ones told."""
    names = [fields.get(name) for name in ("run_id", "step_id", "state")]
    number, attempt, elapsed_ms = (fields.get(n) for n in ("number", "attempt", "elapsed_ms"))
    if not all(type(name) is str for name in names) or type(number) is not int:
        return None
    run_id, step_id, state = map(str, names)
    is_over = state in _STEP_OVER
    error = fields.get("error")
    return RunStepRow(
        run_id=run_id,
        step_id=step_id,
        number=number,
        state=state,
        attempt=attempt if type(attempt) is int else 1,
        executor=str(fields.get("executor") or ""),
        started_at=at if not is_over or before is None else before.started_at,
        ended_at=at if is_over else None,
        elapsed_ms=elapsed_ms if type(elapsed_ms) in (int, float) else None,  # type: ignore[arg-type]  # it is a number
        error=orjson.dumps(error).decode() if isinstance(error, dict) else None,
        approval_id=_text(fields.get("approval_id")),
        reused_from=_text(fields.get("reused_from")),
    )


def closed(run: RunRow) -> RunRow:
    """A run that nobody can go on with has failed."""
    if run.status in _OVER:
        return run
    return replace(run, status="failed", reason=LOST)


def _text(value: object) -> str | None:
    return value if type(value) is str else None
