"""Records as rows of a list: one line each, with what a person looks for first (pure).

Called by the handlers of records and by `live`. Texts are cut, never escaped: the page shows them
as text.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from flow_kernel.apps.timeline import Mark, Timeline
from flow_kernel.records.plain import heading, one_line

Record = Mapping[str, object]
_TEXT_CHARS: Final = 200
_NOTE_CHARS: Final = 200
_NAMES: Final = 8
_NAME_CHARS: Final = 60
_GOOD: Final = frozenset(("done", "approved", "success", "ok"))
_BAD: Final = frozenset(
    (
        *("failed", "rejected", "expired", "cancelled"),
        *("error", "timeout", "dead", "blocked"),
    )
)


def row_of(record: Record) -> dict[str, object]:
    """One row.

    Returns:
        Where the record is (`plan_id`, `task_id`, `session`, `seq`), its `kind`, `at`, and `mark`,
        `text`, `note`, `elapsed_ms`; for a cell also what it added, changed, removed and imported.
    """
    kind = _text(record, "kind")
    row: dict[str, object] = {
        "kind": kind,
        "at": _text(record, "timestamp"),
        "plan_id": _text(record, "plan_id"),
        "task_id": _text(record, "task_id"),
        "session": _text(record, "session"),
        "seq": record.get("seq"),
        "span_id": record.get("span_id"),
        "elapsed_ms": None,
        "note": "",
    }
    entry = next(iter(Timeline().feed(record)), None)
    if entry is not None:
        row |= {
            "mark": entry.mark.value,
            "text": one_line(entry.text, _TEXT_CHARS),
            "note": one_line(entry.note, _NOTE_CHARS),
            "elapsed_ms": entry.elapsed_ms,
            "added": _cut(entry.added),
            "changed": _cut(entry.changed),
            "removed": _cut(entry.removed),
            "imports": _cut(entry.imports),
            "count": record.get("execution_count"),
            "worker": _text(record, "worker"),
            "outputs": len(_list(record, "outputs")),
        }
        return row
    if kind == "cell_started":
        return row | {
            "mark": Mark.RUNNING.value,
            "text": one_line(heading(_text(record, "code")), _TEXT_CHARS),
            "count": record.get("execution_count"),
        }
    text, note, state = _told(kind, record)
    mark = "ok" if state in _GOOD else "error" if state in _BAD else "note"
    return row | {
        "mark": mark,
        "text": one_line(text, _TEXT_CHARS),
        "note": one_line(note, _NOTE_CHARS),
        "elapsed_ms": elapsed
        if isinstance(elapsed := record.get("elapsed_ms"), int | float)
        else None,
    }


def words_of(record: Record) -> str:
    """What a search looks through: code, output, results, errors, messages and names."""
    return "\n".join(_words(record, 0))


def _words(value: object, depth: int) -> list[str]:
    if isinstance(value, str):
        return [value]
    if depth > 3:
        return []
    if isinstance(value, dict):
        if not depth:
            value = {key: each for key, each in value.items() if key not in _NO_WORDS}
        names = [str(key) for key in value] if depth else []
        return names + [word for each in value.values() for word in _words(each, depth + 1)]
    if isinstance(value, list):
        return [word for each in value for word in _words(each, depth + 1)]
    return []


_NO_WORDS: Final = frozenset(
    (
        *("v", "seq", "prev", "crc", "timestamp", "session", "span_id", "parent_span_id"),
        *("trace_id", "msg_id", "code_sha256", "added_imports", "store"),
    )
)


def _told(kind: str, record: Record) -> tuple[str, str, str]:
    """Text, note and state of a record that tells of a change."""
    if kind == "run" and _text(record, "step_id"):
        return _told_of_step(record)
    name, state = _text(record, "name"), _text(record, "status") or _text(record, "state")
    found: dict[str, tuple[str, str]] = {
        "task": (f"task {_text(record, 'task_id')} {name}: {state}", _text(record, "reason")),
        "plan": (f"plan {name or _text(record, 'plan_id')}", _text(record, "description")),
        "step": (
            f"step {name}: {state}" if name else _text(record, "log"),
            _text(record, "log") if name else _text(record, "reason"),
        ),
        "context": (f"context {_text(record, 'key')}", f"by {_text(record, 'author')}"),
        "tag": (f"tag {_text(record, 'tag')}", "" if record.get("is_set") else "removed"),
        "approval": (
            f"{_text(record, 'approval_id')} {_text(record, 'message')}: {state}",
            _text(record, "comment"),
        ),
        "checkpoint": (f"checkpoint {name}", _text(record, "checkpoint_id")),
        "rollback": (f"back to checkpoint {_text(record, 'checkpoint_id')}", ""),
        "worker": (f"worker {_text(record, 'worker_id')}: {state}", _text(record, "reason")),
        "run": (
            f"{_text(record, 'run_id')} {_text(record, 'workflow')}: {state}",
            _text(record, "reason"),
        ),
        "late": (_text(record, "text"), f"late {_text(record, 'stream')}"),
    }
    if kind == "run" and (step := _text(record, "step_id")):
        state = _text(record, "state")
        return f"{_text(record, 'run_id')} step {step}: {state}", _text(record, "reason"), state
    text, note = found.get(kind, (kind, ""))
    return text, note, state


def _told_of_step(record: Record) -> tuple[str, str, str]:
    """As above, of a step of a run: its own state, not that of the run, which goes on."""
    state, attempt, error = _text(record, "state"), record.get("attempt"), record.get("error")
    again = f", attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else ""
    notes = (
        _text(error, "message") if isinstance(error, dict) else "",
        _text(record, "approval_id") and f"asks {_text(record, 'approval_id')}",
        _text(record, "reused_from") and f"taken from {_text(record, 'reused_from')}",
    )
    place = f"{_text(record, 'run_id')} {_text(record, 'workflow')}"
    note = ", ".join(note for note in notes if note)
    return f"{place}, step {_text(record, 'step_id')}: {state}{again}", note, state


def _cut(names: Sequence[str]) -> dict[str, object]:
    shown = [one_line(name, _NAME_CHARS) for name in names[:_NAMES]]
    return {"names": shown, "more": len(names) - len(shown)}


def _text(record: Record, key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""


def _list(record: Record, key: str) -> list[object]:
    value = record.get(key)
    return value if isinstance(value, list) else []
