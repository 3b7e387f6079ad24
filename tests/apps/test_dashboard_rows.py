"""Rows of the dashboard's log: one line that says what a record tells of."""

from typing import Any

import pytest

from flow_kernel.apps.server.rows import row_of

STEP = {
    "kind": "run",
    "run_id": "R-0001",
    "workflow": "etl",
    "status": "running",
    "step_id": "load",
}


def told(**more: Any) -> tuple[object, ...]:
    row = row_of({**STEP, **more})
    return row["mark"], row["text"], row["note"], row["elapsed_ms"]


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({"state": "running", "attempt": 1}, ("note", "running", "", None)),
        ({"state": "running", "attempt": 2}, ("note", "running, attempt 2", "", None)),
        ({"state": "ok", "attempt": 1, "elapsed_ms": 12.5}, ("ok", "ok", "", 12.5)),
        (
            {"state": "error", "elapsed_ms": 3, "error": {"message": "no such file"}},
            ("error", "error", "no such file", 3),
        ),
        ({"state": "timeout"}, ("error", "timeout", "", None)),
        ({"state": "waiting", "approval_id": "A-0001"}, ("note", "waiting", "asks A-0001", None)),
        ({"state": "ok", "reused_from": "R-0000"}, ("ok", "ok", "taken from R-0000", None)),
        ({"state": 5, "error": "x", "attempt": "y", "elapsed_ms": "z"}, ("note", "", "", None)),
    ],
)
def test_a_step_of_a_run_is_named_with_its_own_outcome(
    fields: dict[str, Any], row: tuple[object, ...]
) -> None:
    mark, outcome, note, elapsed_ms = row
    assert told(**fields) == (mark, f"R-0001 etl, step load: {outcome}".strip(), note, elapsed_ms)


def test_a_run_has_the_row_of_its_status() -> None:
    row = row_of({**STEP, "step_id": None, "status": "failed", "reason": "step load: no such file"})
    assert (row["mark"], row["text"], row["note"]) == (
        "error",
        "R-0001 etl: failed",
        "step load: no such file",
    )
