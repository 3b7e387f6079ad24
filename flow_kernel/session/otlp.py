"""The records of one task as OpenTelemetry spans, in the JSON form of OTLP (pure).

Called by `session.mirror_otlp`.

    task                     the root span; context and approvals are its events
    └── step, step in step
        └── cell             a cell outside any step lies below the task itself
            └── cell         that it ran

Names of fields are in lowerCamelCase, ids are hex, numbers of 64 bit are text, enumerations are
numbers. What has not ended yet ends at the last record.

Source: OpenTelemetry Protocol specification, "JSON Protobuf Encoding"; its proto/trace/v1.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

_INTERNAL: Final = 1
_OK: Final = 1
_ERROR: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BAD: Final = frozenset({"failed", "error", "interrupted", "aborted"})
_GOOD: Final = frozenset({"done", "ok"})

Record = Mapping[str, object]
Span = dict[str, object]


@dataclass(slots=True)
class _Task:
    """What is known of the task so far."""

    place: str
    trace_id: str
    first: str = ""
    last: str = ""
    row: Record = field(default_factory=dict)
    steps: dict[int, Record] = field(default_factory=dict)
    cells: list[Record] = field(default_factory=list)
    events: list[Span] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    step_of_cell: dict[str, int | None] = field(default_factory=dict)


def document(log: str, records: Iterable[Record], *, version: str) -> dict[str, object]:
    """The spans of a task.

    Args:
        log: Names the task where no record does.
        records: All of its log, oldest first.
        version: Of flow_kernel.

    Returns:
        A `TracesData` message as JSON.
    """
    task = _Task(place=log, trace_id=_hex(log, 32))
    for record in records:
        _read(task, record)
    spans = [_root(task), *(_step(task, row) for row in task.steps.values())]
    spans += [_cell(task, record) for record in task.cells]
    resource = {"attributes": _attributes({"service.name": "flow_kernel", "flow.log": log})}
    scope = {"name": "flow_kernel", "version": version}
    return {
        "resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]
    }


# -- reading -------------------------------------------------------------------------------------


def _read(task: _Task, record: Record) -> None:
    task.first = task.first or str(record.get("timestamp", ""))
    task.last = max(task.last, str(record.get("timestamp", "")))
    if "trace_id" in record and len(str(record["trace_id"])) == 32:
        task.trace_id = str(record["trace_id"])
    handler = _READ.get(str(record.get("kind")))
    if handler is not None:
        handler(task, record)


def _read_task(task: _Task, record: Record) -> None:
    task.row = record
    task.place = f"{record.get('plan_id')}/{record.get('task_id')}"


def _read_step(task: _Task, record: Record) -> None:
    number = record.get("number")
    if type(number) is int:
        task.steps[number] = record
        task.numbers[str(record.get("name"))] = number
    elif "log" in record:
        about = {"flow.step": record.get("step"), "flow.text": record.get("log")}
        task.events.append(_event("flow.log", record, about))


def _read_cell(task: _Task, record: Record) -> None:
    task.cells.append(record)
    task.step_of_cell[str(record.get("span_id"))] = task.numbers.get(str(record.get("step")))


def _read_context(task: _Task, record: Record) -> None:
    about = {f"flow.context.{name}": record.get(name) for name in ("key", "value", "author")}
    about["flow.context.is_set"] = record.get("is_set")
    task.events.append(_event("flow.context", record, about))


def _read_tag(task: _Task, record: Record) -> None:
    about = {"flow.tag": record.get("tag"), "flow.tag.is_set": record.get("is_set")}
    task.events.append(_event("flow.tag", record, about))


def _read_approval(task: _Task, record: Record) -> None:
    names = ("approval_id", "message", "status", "decided_by", "channel", "comment", "level")
    about = {f"flow.approval.{name}": record.get(name) for name in names}
    task.events.append(_event("flow.approval", record, about))


def _read_death(task: _Task, record: Record) -> None:
    about = {f"flow.death.{name}": record.get(name) for name in ("reason", "signal", "exit_code")}
    task.events.append(_event("flow.death", record, about))


_READ: Final[Mapping[str, Callable[[_Task, Record], None]]] = {
    "task": _read_task,
    "step": _read_step,
    "cell": _read_cell,
    "context": _read_context,
    "tag": _read_tag,
    "approval": _read_approval,
    "death": _read_death,
}


# -- spans ---------------------------------------------------------------------------------------


def _root(task: _Task) -> Span:
    row = task.row
    start = row.get("started_at") or row.get("created_at") or task.first
    about = {f"flow.task.{name}": row.get(name) for name in ("type", "status", "description")}
    about |= {"flow.task": task.place, "flow.author": row.get("author")}
    return {
        "traceId": task.trace_id,
        "spanId": _root_id(task),
        "name": str(row.get("name") or task.place),
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanos(start),
        "endTimeUnixNano": _nanos(row.get("ended_at") or task.last),
        "attributes": _attributes(about),
        "events": task.events,
        "status": _status(row.get("status"), row.get("reason")),
    }


def _step(task: _Task, row: Record) -> Span:
    parent = row.get("parent")
    about = {f"flow.step.{name}": row.get(name) for name in ("number", "state", "is_planned")}
    # One that is only planned takes no time, at the moment at which it was planned.
    start = row.get("started_at") or row.get("at")
    end = row.get("ended_at") or (task.last if row.get("state") == "doing" else start)
    return {
        "traceId": task.trace_id,
        "spanId": _step_id(task, row.get("number")),
        "parentSpanId": _root_id(task) if parent is None else _step_id(task, parent),
        "name": str(row.get("name")),
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanos(start),
        "endTimeUnixNano": _nanos(end),
        "attributes": _attributes(about),
        "status": _status(row.get("state"), row.get("reason")),
    }


def _cell(task: _Task, record: Record) -> Span:
    span_id = str(record.get("span_id") or _hex(f"{record.get('session')} {record.get('seq')}", 16))
    number = task.step_of_cell.get(span_id)
    above = _root_id(task) if number is None else _step_id(task, number)
    elapsed_ms = record.get("elapsed_ms")
    took = timedelta(milliseconds=elapsed_ms if isinstance(elapsed_ms, int | float) else 0)
    end = _moment(record.get("timestamp"))
    error = record.get("error")
    failure = error if isinstance(error, Mapping) else {}
    about = {f"flow.{name}": record.get(name) for name in _CELL_NAMES}
    about |= {"error.type": failure.get("ename"), "code.text": record.get("code")}
    return {
        "traceId": task.trace_id,
        "spanId": span_id,
        "parentSpanId": str(record.get("parent_span_id") or above),
        "name": f"cell [{record.get('execution_count') or ' '}]",
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanos_of(end - took),
        "endTimeUnixNano": _nanos_of(end),
        "attributes": _attributes(about),
        "events": [_event("exception", record, _exception(failure))] if failure else [],
        "status": _status(record.get("status"), failure.get("evalue")),
    }


_CELL_NAMES: Final = (
    "session",
    "seq",
    "actor",
    "cell_id",
    "execution_count",
    "code_sha256",
    "added_vars",
    "changed_vars",
    "removed_vars",
    "mutated_vars",
    "added_imports",
)


def _exception(failure: Mapping[str, object]) -> dict[str, object]:
    lines = failure.get("traceback")
    return {
        "exception.type": failure.get("ename"),
        "exception.message": failure.get("evalue"),
        "exception.stacktrace": "\n".join(map(str, lines)) if isinstance(lines, list) else None,
    }


def _event(name: str, record: Record, about: Mapping[str, object]) -> Span:
    at = _nanos(record.get("at") or record.get("timestamp"))
    return {"timeUnixNano": at, "name": name, "attributes": _attributes(about)}


def _status(state: object, reason: object) -> dict[str, object]:
    if state in _BAD:
        return {"code": _ERROR, "message": str(reason or "")}
    return {"code": _OK} if state in _GOOD else {}


# -- values --------------------------------------------------------------------------------------


def _attributes(about: Mapping[str, object]) -> list[dict[str, object]]:
    return [
        {"key": key, "value": _value(value)} for key, value in about.items() if value is not None
    ]


def _value(value: object) -> dict[str, object]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return (
            {"intValue": str(value)} if -(2**63) <= value < 2**63 else {"stringValue": str(value)}
        )
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, list) and all(type(item) is str for item in value):
        return {"arrayValue": {"values": [{"stringValue": item} for item in value]}}
    return {"stringValue": json.dumps(value, ensure_ascii=False)}


def _root_id(task: _Task) -> str:
    return _hex(f"task {task.trace_id}", 16)


def _step_id(task: _Task, number: object) -> str:
    return _hex(f"step {number} {task.trace_id}", 16)


def _hex(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _moment(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return _EPOCH


def _nanos(text: object) -> str:
    return _nanos_of(_moment(text))


def _nanos_of(moment: datetime) -> str:
    return str((moment - _EPOCH) // timedelta(microseconds=1) * 1000)
