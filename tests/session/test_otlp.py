"""Records of a task become spans: which is below which, when, with what, and how it ended."""

from typing import Any, Final

from flow_kernel.session.otlp import document

TRACE: Final = "ab" * 16
SECOND: Final = 1_000_000_000


def test_cells_lie_below_their_step_and_steps_below_the_task() -> None:
    records = [
        _at(0, "task", name="clean", status="doing", started_at=_time(0), plan_id="p", task_id="T"),
        _at(1, "step", number=1, name="load", state="doing", started_at=_time(1)),
        _at(2, "step", number=2, name="part", state="doing", started_at=_time(2), parent=1),
        _cell(4, "c" * 16, step="part", elapsed_ms=1500.0, execution_count=3),
        _cell(5, "d" * 16, step="part", parent_span_id="c" * 16),
        _cell(6, "e" * 16, step=None),
    ]
    spans = _spans(records)
    names = {span["spanId"]: span["name"] for span in spans.values()}
    above = {name: names.get(span.get("parentSpanId", "")) for name, span in spans.items()}

    assert above == {
        "clean": None,
        "load": "clean",
        "part": "load",
        "cell [3]": "part",
        "cell [5]": "cell [3]",
        "cell [6]": "clean",
    }
    assert {span["traceId"] for span in spans.values()} == {TRACE}
    cell = spans["cell [3]"]
    assert int(cell["endTimeUnixNano"]) - int(cell["startTimeUnixNano"]) == 1.5 * SECOND
    assert int(spans["load"]["endTimeUnixNano"]) == int(spans["clean"]["endTimeUnixNano"])


def test_the_end_of_a_thing_is_its_status() -> None:
    error = {"ename": "ValueError", "evalue": "no rows", "traceback": ["a", "b"], "line": 1}
    records = [
        _at(0, "task", name="clean", status="failed", reason="no data", ended_at=_time(9)),
        _at(0, "step", number=1, name="load", state="done", started_at=_time(1), ended_at=_time(2)),
        _at(0, "step", number=2, name="save", state="planned", at=_time(1)),
        _cell(4, "c" * 16, status="error", error=error),
    ]
    spans = _spans(records)

    assert {name: span["status"] for name, span in spans.items()} == {
        "clean": {"code": 2, "message": "no data"},
        "load": {"code": 1},
        "save": {},
        "cell [4]": {"code": 2, "message": "no rows"},
    }
    (raised,) = spans["cell [4]"]["events"]
    assert raised["name"] == "exception"
    assert _about(raised) == {
        "exception.type": "ValueError",
        "exception.message": "no rows",
        "exception.stacktrace": "a\nb",
    }


def test_context_approvals_and_deaths_are_events_of_the_task_with_typed_values() -> None:
    records = [
        _at(0, "task", name="clean", status="doing"),
        _at(1, "context", key="k", value={"a": [1]}, is_set=True, author="ann", at=_time(1)),
        _at(2, "approval", approval_id="A-0001", status="approved", decided_by="bob"),
        _at(3, "death", reason="oom_kernel", signal=9),
    ]
    events = _spans(records)["clean"]["events"]

    assert [event["name"] for event in events] == ["flow.context", "flow.approval", "flow.death"]
    assert _about(events[0])["flow.context.value"] == '{"a": [1]}'
    assert _about(events[1])["flow.approval.decided_by"] == "bob"
    (number,) = [a["value"] for a in events[2]["attributes"] if a["key"] == "flow.death.signal"]
    assert number == {"intValue": "9"}


def test_a_log_without_any_task_and_odd_records_is_no_error() -> None:
    records: list[dict[str, Any]] = [{}, {"kind": "cell"}, {"kind": "step"}, {"kind": "task"}]
    assert len(_spans(records)) == 2


def _spans(records: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    said: Any = document("local/T-0001", records, version="1")
    (resource,) = said["resourceSpans"]
    (scope,) = resource["scopeSpans"]
    return {span["name"]: span for span in scope["spans"]}


def _about(event: dict[str, Any]) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values())) for item in event["attributes"]}


def _at(second: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "timestamp": _time(second), **fields}


def _cell(second: int, span_id: str, **fields: Any) -> dict[str, Any]:
    said = {"execution_count": second, "status": "ok", "trace_id": TRACE, **fields}
    return _at(second, "cell", span_id=span_id, **said)


def _time(second: int) -> str:
    return f"2026-11-21T01:02:{second:02}.000Z"
