"""Records as lines of the panel: short texts that are safe to print (pure).

Called by `shell.panel.board`. A line is a dict of JSON, as the view gets it:

    key      what it is about: a later record about the same replaces it
    kind     cell, step, approval, checkpoint, rollback, death or worker
    mark     one character; `tone` (good, bad, warn, dim) says the same in colour
    at       hh:mm:ss, UTC
    title    what it is
    detail   how it went
    more     further lines
    act      what can be pressed: rollback (with `id`) or answer (with `question`)
"""

from collections.abc import Callable, Mapping
from typing import Final

from flow_kernel.records.plain import counted, heading, human_bytes, human_ms, one_line
from flow_kernel.session.approval_text import MARKS as APPROVAL_MARKS
from flow_kernel.session.task_text import MARKS as STEP_MARKS
from flow_kernel.shell.panel.questions import TONES, question_of, said_of
from flow_kernel.shell.views.display import changes_of
from flow_kernel.store.contract import ApprovalRow

Row = dict[str, object]

_CELL: Final = {
    "ok": ("✓", "good"),
    "error": ("✗", "bad"),
    "interrupted": ("■", "warn"),
    "aborted": ("–", "dim"),
}
_STEP_TONES: Final = {"doing": "warn", "done": "good", "failed": "bad"}
_TITLE: Final = 120
_DETAIL: Final = 200


def row_of(record: Mapping[str, object]) -> Row | None:
    """The line of a record; None for one that is no line of its own.

    Approvals are none: their state lies in the store.
    """
    make = _ROWS.get(str(record.get("kind")))
    return None if make is None else make(record)


def row_of_approval(row: ApprovalRow) -> Row:
    """The line of a question: buttons while it is open, then its answer."""
    made = _row(
        f"approval:{row.approval_id}",
        "approval",
        (APPROVAL_MARKS.get(row.status, "?"), TONES.get(row.status, "dim")),
        row.decided_at or row.requested_at,
        f"{row.approval_id} {one_line(row.message, _TITLE)}",
        one_line(said_of(row), _DETAIL),
    )
    if row.status == "open":
        made |= {"act": "answer", "question": question_of(row)}
    return made


def _started(record: Mapping[str, object]) -> Row | None:
    return _cell_row(record, ("▸", "warn"), "runs")


def _cell(record: Mapping[str, object]) -> Row | None:
    look = _CELL.get(str(record.get("status")), ("·", "dim"))
    parts = [human_ms(elapsed)] if isinstance(elapsed := record.get("elapsed_ms"), float) else []
    worker = record.get("worker")
    parts += [f"in {one_line(worker, 20)}"] if isinstance(worker, str) else []
    parts += [changes] if (changes := changes_of(record)) else []
    made = _cell_row(record, look, " · ".join(parts))
    error = record.get("error")
    if made is not None and isinstance(error, dict):
        made["more"] = [one_line(f"{error.get('ename')}: {error.get('evalue')}", _DETAIL)]
    return made


def _cell_row(record: Mapping[str, object], look: tuple[str, str], detail: str) -> Row | None:
    if record.get("parent_span_id") is not None:
        return None  # a cell that a cell runs is part of it
    count = record.get("execution_count")
    head = f"[{count}] " if isinstance(count, int) else ""
    title = f"{head}{one_line(heading(str(record.get('code', ''))), _TITLE)}"
    return _row(
        f"cell:{record.get('span_id')}", "cell", look, record.get("timestamp"), title, detail
    )


def _step(record: Mapping[str, object]) -> Row:
    state = str(record.get("state", ""))
    reason = record.get("reason")
    return _row(
        f"step:{record.get('number')}",
        "step",
        (STEP_MARKS.get(state, "·"), _STEP_TONES.get(state, "dim")),
        record.get("ended_at") or record.get("started_at"),
        one_line(str(record.get("name", "")), _TITLE),
        one_line(f"{state}: {reason}" if reason else state, _DETAIL),
    )


def _checkpoint(record: Mapping[str, object]) -> Row:
    count, size, left = (record.get(name) for name in ("variables", "bytes_new", "not_saved"))
    parts = [counted(count, "variable")] if isinstance(count, int) else []
    parts += [f"{human_bytes(size)} new"] if isinstance(size, int) else []
    parts += [f"{len(left)} not kept"] if isinstance(left, list) and left else []
    identity = one_line(str(record.get("checkpoint_id", "")), 80)
    made = _row(
        f"checkpoint:{identity}",
        "checkpoint",
        ("◆", "dim"),
        record.get("created_at"),
        one_line(str(record.get("name", "")), _TITLE),
        " · ".join(parts),
    )
    return made | {"act": "rollback", "id": identity}


def _rollback(record: Mapping[str, object]) -> Row:
    named = []
    for sign, field in (("~", "restored"), ("-", "removed"), ("!", "lost")):
        names = record.get(field)
        named += [f"{sign}{one_line(str(name), 40)}" for name in _listed(names)[:6]]
    files = len(_listed(record.get("files")))
    return _row(
        f"rollback:{record.get('seq')}",
        "rollback",
        ("↶", "warn"),
        record.get("timestamp"),
        f"to {one_line(str(record.get('checkpoint_id')), 40)}",
        " ".join([*named, counted(files, "file") if files else ""]).strip(),
    )


def _death(record: Mapping[str, object]) -> Row:
    reason = one_line(str(record.get("reason", "")), 60)
    look = ("✗", "bad")
    return _row(
        f"death:{record.get('seq')}", "death", look, record.get("timestamp"), "a session", reason
    )


def _worker(record: Mapping[str, object]) -> Row | None:
    if record.get("state") not in ("dead", "blocked", "error"):
        return None
    look = ("✗", "bad") if record.get("reason") not in ("stopped", "restarted") else ("–", "dim")
    return _row(
        f"worker:{record.get('seq')}",
        "worker",
        look,
        record.get("timestamp"),
        one_line(str(record.get("worker_id", "")), 40),
        one_line(f"{record.get('state')}: {record.get('reason')}", _DETAIL),
    )


def _row(key: str, kind: str, look: tuple[str, str], at: object, title: str, detail: str) -> Row:
    mark, tone = look
    return {
        "key": one_line(key, 80),
        "kind": kind,
        "mark": mark,
        "tone": tone,
        "at": one_line(at[11:19], 8) if isinstance(at, str) else "",
        "title": title,
        "detail": detail,
        "more": [],
    }


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


_ROWS: Final[Mapping[str, Callable[[Mapping[str, object]], Row | None]]] = {
    "cell_started": _started,
    "cell": _cell,
    "step": _step,
    "checkpoint": _checkpoint,
    "rollback": _rollback,
    "death": _death,
    "worker": _worker,
}
