"""What `jupyter flow watch` shows, collected: sessions, questions, tasks, workers, new records.

Made by `watch`, which calls it in one thread. A kernel is asked over its control channel, which
answers while a cell runs; one that does not answer is told by its log.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.control_client import ControlClient
from flow_kernel.errors import FlowError
from flow_kernel.records.backward import lines_backward
from flow_kernel.records.codec import LineDamaged, decode
from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.records.lease import Lease, living
from flow_kernel.records.redaction import Redactor
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.deaths import running_cell
from flow_kernel.session.flow import Flow
from flow_kernel.session.isolation.worker_looks import Looks, WorkerView
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.person import user_name
from flow_kernel.store.contract import ApprovalRow, TaskRow
from flow_kernel.workflow.going_on import go_on_beside, parked_on

RECORDS: Final = 40
TASKS: Final = 40
_FILES: Final = 4
_ANSWER_S: Final = 0.3
_OPEN: Final = ("doing", "waiting", "todo")
_LEFT_OUT: Final = ("cell_started",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLine:
    """One session.

    Attributes:
        session: 32 hex.
        pid: Of its process.
        notebook: Its path where the client tells it, else empty.
        state: idle, busy or silent.
        place: `<plan>/<task>`, and the step.
        code: Of the cell that runs, on one line; empty while none does.
        elapsed_ms: Since that began; None where nobody says.
    """

    session: str
    pid: int
    notebook: str
    state: str
    place: str
    code: str
    elapsed_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What there is at one moment."""

    home: str
    at: str
    sessions: tuple[SessionLine, ...]
    approvals: tuple[ApprovalRow, ...]
    tasks: tuple[TaskRow, ...]
    workers: tuple[WorkerView, ...]
    records: tuple[Mapping[str, Any], ...]
    """Newest first."""


class Gatherer:
    """See the module.

    Args:
        home: Whose.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._looks = Looks()
        self._flow: Flow | None = None
        self._clients: dict[str, ControlClient] = {}

    def take(self) -> Snapshot:
        """What there is now."""
        flow = self._opened()
        return Snapshot(
            home=str(self._home.root),
            at=utc_now_ms(),
            sessions=tuple(self._sessions()),
            approvals=() if flow is None else tuple(_desk(flow).list(status="open")),
            tasks=() if flow is None else tuple(_latest(flow.tasks())),
            workers=tuple(self._looks.at_home(self._home)),
            records=tuple(_newest(self._home)),
        )

    def decide(self, approval_id: str, decision: str) -> str:
        """Answer a question.

        Args:
            approval_id: Which.
            decision: approve or reject.

        Returns:
            What came of it, in a sentence.
        """
        flow = self._opened()
        if flow is None:
            return "there are no questions"
        try:
            row = _desk(flow).decide(approval_id, decision, by=user_name(), channel="watch")
            run_id = parked_on(flow.store, flow.home, approval_id)
            if run_id is not None:
                flow.sync()
                go_on_beside(flow.home, [run_id])
        except FlowError as error:
            return str(error)
        return f"{row.approval_id} is {row.status}" + (f"; {run_id} goes on" if run_id else "")

    def close(self) -> None:
        """Let go of what it holds."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        if self._flow is not None:
            self._flow.close()

    # -- inside ------------------------------------------------------------------------------------

    def _opened(self) -> Flow | None:
        if self._flow is None and self._home.store_path.exists():
            self._flow = flow_of(self._home)
        return self._flow

    def _sessions(self) -> Iterator[SessionLine]:
        leases = living(self._home.run_dir)
        for gone in self._clients.keys() - {lease.session for lease in leases}:
            self._clients.pop(gone).close()
        for lease in leases:
            told = self._asked(lease) if lease.connection_file else None
            yield _of_log(self._home, lease) if told is None else _of_kernel(lease, told)

    def _asked(self, lease: Lease) -> dict[str, Any] | None:
        """What a kernel says; None where it says nothing."""
        try:
            if lease.session not in self._clients:
                self._clients[lease.session] = ControlClient.of(lease)
            return self._clients[lease.session].ask("status", timeout_s=_ANSWER_S)
        except FlowError:
            if lease.session in self._clients:
                self._clients.pop(lease.session).close()
            return None


def _of_kernel(lease: Lease, told: Mapping[str, Any]) -> SessionLine:
    cell = told.get("cell") or {}
    place = f"{told.get('plan_id')}/{told.get('task_id')}"
    return SessionLine(
        session=lease.session,
        pid=lease.process.pid,
        notebook=lease.notebook,
        state="busy" if told.get("busy") else "idle",
        place=f"{place} {told['step']}" if told.get("step") else place,
        code=str(cell.get("code", "")),
        elapsed_ms=cell.get("elapsed_ms"),
    )


def _of_log(home: Home, lease: Lease) -> SessionLine:
    cell = running_cell(home, lease)
    return SessionLine(
        session=lease.session,
        pid=lease.process.pid,
        notebook=lease.notebook,
        state="silent" if lease.connection_file else "busy" if cell else "idle",
        place=f"{lease.plan_id}/{lease.task_id}",
        code="" if cell is None else str(cell.get("code", "")),
        elapsed_ms=None,
    )


def _desk(flow: Flow) -> ApprovalDesk:
    redactor = Redactor(os.environ)
    return ApprovalDesk(flow.store, now=utc_now_ms, redact=lambda text: redactor.text(text)[0])


def _latest(tasks: list[TaskRow]) -> list[TaskRow]:
    """Those that are not done first, then those that ended last."""
    is_open = [task for task in tasks if task.status in _OPEN]
    ended = [task for task in tasks if task.status not in _OPEN]
    is_open.sort(key=lambda task: (_OPEN.index(task.status), task.task_id))
    ended.sort(key=lambda task: task.ended_at or task.created_at or "", reverse=True)
    return [*is_open, *ended][:TASKS]


def _newest(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    files = sorted(home.log_files(), key=_changed_s, reverse=True)
    for path in files[:_FILES]:
        found += _last_of(path)
    found.sort(key=lambda record: str(record.get("timestamp")), reverse=True)
    return found[:RECORDS]


def _changed_s(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _last_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return found
    try:
        for line in lines_backward(fd):
            with suppress(LineDamaged):
                record = decode(line)
                if record.get("kind") not in _LEFT_OUT:
                    found.append(record)
            if len(found) >= RECORDS:
                break
    except OSError:
        return found
    finally:
        os.close(fd)
    return found
