"""Workers in words and as documents (pure).

Called by `shell.views.workers_display` and by the verb `jupyter flow workers`, so that both say the
same.
"""

from collections.abc import Sequence
from typing import Final

from flow_kernel.records.plain import human_bytes, human_ms, one_line
from flow_kernel.session.isolation.worker_looks import WorkerView
from flow_kernel.workers.lifecycle import State

HEADER: Final = ("id", "name", "state", "task", "kind", "pid", "cpu", "memory", "up", "restarts")
NONE: Final = "no workers: an isolated cell starts the first one"
_UNWELL: Final = (State.BLOCKED, State.ERROR)
_NAME_CHARS: Final = 40
_REASON_CHARS: Final = 100


def cells_of(view: WorkerView) -> list[str]:
    """What stands below `HEADER`; an empty text where nothing is known."""
    line = view.line
    return [
        one_line(line.worker_id, _NAME_CHARS),
        name_of(view),
        one_line(" ".join(filter(None, (line.state, line.detail))), _NAME_CHARS),
        one_line(line.task_id or "", 80),
        one_line(line.kind, _NAME_CHARS),
        "" if line.pid is None else str(line.pid),
        "" if view.cpu_pct is None else f"{view.cpu_pct:.0f} %",
        "" if view.rss_bytes is None else human_bytes(view.rss_bytes),
        human_ms(view.uptime_s * 1000),
        str(line.restarts),
    ]


def name_of(view: WorkerView) -> str:
    """Its name; one without a name waits for a cell, or ends with the one it has."""
    line = view.line
    if line.name is not None:
        return one_line(line.name, _NAME_CHARS)
    return "(spare)" if line.state == State.IDLE else "(fresh)"


def title_of(view: WorkerView) -> str:
    """`worker w1 default`."""
    return f"worker {one_line(view.line.worker_id, _NAME_CHARS)} {name_of(view)}"


def facts_of(view: WorkerView) -> list[tuple[str, str]]:
    """All that is known, under names."""
    told = dict(zip(HEADER[2:], cells_of(view)[2:], strict=True))
    told |= {
        "started": _when(view.line.started_at),
        "last heard of": _when(view.line.heartbeat_at),
        "session": one_line(view.session, _NAME_CHARS),
    }
    history = [
        (f"noted {_when(at)[11:19]}", one_line(f"{state}: {reason}", _REASON_CHARS))
        for at, state, reason in view.line.history
    ]
    return [*((name, text) for name, text in told.items() if text), *history]


def document_of(view: WorkerView) -> dict[str, object]:
    """One of the items that programs get."""
    line = view.line
    return {
        "worker_id": line.worker_id,
        "name": line.name,
        "state": line.state,
        "kind": line.kind,
        "pid": line.pid,
        "task_id": line.task_id,
        "cpu_pct": view.cpu_pct,
        "rss_bytes": view.rss_bytes,
        "uptime_s": view.uptime_s,
        "restarts": line.restarts,
        "heartbeat_at": line.heartbeat_at,
        "detail": line.detail,
    }


def health_of(views: Sequence[WorkerView], queue: int) -> dict[str, object]:
    """Whether all is well: no worker is blocked or broken. What is unknown counts as nothing.

    Args:
        views: All workers.
        queue: How many cells wait for one.
    """
    return {
        "ok": not any(view.line.state in _UNWELL for view in views),
        "workers": len(views),
        "queue": queue,
        "memory_bytes": sum(view.rss_bytes or 0 for view in views),
    }


def _when(text: str) -> str:
    return f"{one_line(text, 40)[:19].replace('T', ' ')} UTC"
