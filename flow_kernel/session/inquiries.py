"""What a session tells of itself to whoever asks from outside, while a cell may keep it busy.

Called by `shell.channels.control_channel`, in the thread of the control channel. Each answer is
bounded: it reads the ends of the session's logs, open questions and what lies in memory, touches no
value of the user's and waits for nothing that a cell holds.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from flow_kernel._version import __version__
from flow_kernel.errors import RepeatedRequest, UsageError
from flow_kernel.records.recent import recent_records
from flow_kernel.session.approval_text import document_of as approval_document
from flow_kernel.session.cell import OpenCell
from flow_kernel.session.isolation.worker_text import document_of as worker_document
from flow_kernel.session.session import Session

HISTORY_LIMIT: Final = 50
_MOST_RECORDS: Final = 500
_MOST_NAMES: Final = 1000
_READ_BYTES: Final = 8 * 2**20
_CODE_CHARS: Final = 400
_ID_CHARS: Final = 200


def status(session: Session, _asked: Mapping[str, object]) -> dict[str, object]:
    """Where the session stands: its task, the cell that runs, open questions and workers."""
    place = session.where.now
    isolation = session.find_isolation()
    questions = [] if session.find_approvals() is None else session.beside.open()
    views = [] if isolation is None else isolation.steering.views()
    cell = session.recorder.running()
    return {
        "version": __version__,
        "session": session.identity.session,
        "pid": session.pid,
        "home": str(session.home.root),
        "plan_id": place.plan_id,
        "task_id": place.task_id,
        "step": place.step,
        "human_only": session.settings.human_only,
        "recording": not session.recorder.is_paused,
        "events": session.announcer.is_on,
        "seq": session.announcer.seq,
        "last_seq": session.recorder.rev(),
        "busy": cell is not None,
        "cell": None if cell is None else _running(session, cell),
        "approvals": [approval_document(row) for row in questions],
        "workers": [worker_document(view) for view in views],
    }


def history(session: Session, asked: Mapping[str, object]) -> dict[str, object]:
    """The newest records of the session, oldest first.

    Args:
        session: Whose.
        asked: `since_seq` (only later ones), `before_seq` (only earlier ones: the `next` of the
            answer before), `limit`, `kinds`, `fields` (only these of each).
    """
    limit = _number(asked, "limit", HISTORY_LIMIT, most=_MOST_RECORDS)
    fields = _names(asked, "fields")
    last_seq = session.recorder.rev()
    found = recent_records(
        session.journal.paths,
        session.identity.session,
        after=_number(asked, "since_seq", 0),
        before=_number(asked, "before_seq", 0) or None,
        limit=limit,
        kinds=_names(asked, "kinds"),
        budget_bytes=_READ_BYTES,
    )
    items = found.records
    following = items[0].get("seq") if items and not found.is_complete else None
    if fields:
        kept = {"seq", "kind", *fields}
        items = [{key: each[key] for key in each if key in kept} for each in items]
    return {"items": items, "next": following, "last_seq": last_seq}


def variables(session: Session, asked: Mapping[str, object]) -> dict[str, object]:
    """What the last records say of variables: type, size and one line each, newest change first.

    Args:
        session: Whose.
        asked: `names` (only these), `limit`.
    """
    wanted = set(_names(asked, "names"))
    limit = _number(asked, "limit", _MOST_NAMES, most=_MOST_NAMES)
    found = recent_records(
        session.journal.paths,
        session.identity.session,
        limit=_READ_BYTES,  # the bytes bound it
        kinds=("cell",),
        budget_bytes=_READ_BYTES,
    )
    heads: dict[str, dict[str, object]] = {}
    gone: set[str] = set()
    for record in reversed(found.records):
        told = record.get("vars")
        for name, summary in told.items() if isinstance(told, dict) else ():
            if name not in gone and name not in heads and (not wanted or name in wanted):
                heads[name] = {"name": name, **summary, "seq": record.get("seq")}
        # Of one record: what a cell has removed is not bound after it, whatever it bound before.
        removed = record.get("removed_vars")
        gone.update(name for name in (removed or ()) if name not in heads)  # type: ignore[attr-defined]  # a list of names
        if len(heads) >= limit or (wanted and wanted <= heads.keys() | gone):
            break
    return {
        "items": list(heads.values())[:limit],
        "next": None,
        "is_complete": found.is_complete and len(heads) <= limit,
    }


def record(session: Session, asked: Mapping[str, object]) -> dict[str, object]:
    """The record that the cell of one request has left.

    Args:
        session: Whose.
        asked: `msg_id` of the request.

    Returns:
        `record`: None where there is none among what was read; `is_complete` says whether that was
        all of the log. `is_running`: its cell runs now.
    """
    msg_id = asked.get("msg_id")
    if type(msg_id) is not str or not 0 < len(msg_id) <= _ID_CHARS:
        raise UsageError(f"msg_id is a text, not {msg_id!r:.60}")
    cell = session.recorder.running()
    found = recent_records(
        session.journal.paths,
        session.identity.session,
        limit=_READ_BYTES,  # the bytes bound it
        kinds=("cell",),
        holds=b'"msg_id":%b' % orjson.dumps(msg_id),
        budget_bytes=_READ_BYTES,
    )
    mine = (one for one in reversed(found.records) if one.get("msg_id") == msg_id)
    is_mine = (one for one in mine if one.get("parent_span_id") is None and not _is_repeat(one))
    return {
        "record": next(is_mine, None),
        "is_complete": found.is_complete,
        "is_running": cell is not None and cell.request.msg_id == msg_id,
        "last_seq": session.recorder.rev(),
    }


def _is_repeat(one: Mapping[str, object]) -> bool:
    error = one.get("error")
    return isinstance(error, Mapping) and error.get("ename") == RepeatedRequest.__name__


def _running(session: Session, cell: OpenCell) -> dict[str, object]:
    request = cell.request
    return {
        "msg_id": request.msg_id,
        "cell_id": request.cell_id,
        "execution_count": request.execution_count,
        "code": cell.code[:_CODE_CHARS],  # without secrets, as its record has it
        "elapsed_ms": round((time.perf_counter_ns() - cell.started_ns) / 1e6, 1),
        "worker_id": cell.worker,
        "actor": request.actor or session.settings.actor,
        "output_bytes": cell.output.said_bytes,
        "last_line": session.recorder.last_line(cell),
    }


def _number(asked: Mapping[str, object], key: str, default: int, *, most: int = 2**53) -> int:
    value = asked.get(key, default)
    if value is None:
        return default
    if type(value) is not int or not 0 <= value <= most:
        raise UsageError(f"{key} is a whole number from 0 to {most}, not {value!r:.60}")
    return value


def _names(asked: Mapping[str, object], key: str) -> Sequence[str]:
    value = asked.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(name) is str for name in value):
        raise UsageError(f"{key} is a list of names, not {value!r:.60}")
    if len(value) > _MOST_NAMES:
        raise UsageError(f"{key} names at most {_MOST_NAMES}")
    return value
