"""What the panel of a session shows, and what of it has changed since it was looked at.

Built by `shell.panel.live` and `shell.panel.panels`. A view on the log and the store: bounded, it
reads the end of the open task's log and no further, and knows nothing that they do not hold.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flow_kernel.errors import FlowError
from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.records.plain import human_bytes, one_line
from flow_kernel.records.recent import recent_records
from flow_kernel.session.cell import OpenCell
from flow_kernel.session.isolation.worker_looks import WorkerView
from flow_kernel.session.isolation.worker_text import name_of
from flow_kernel.session.session import Session
from flow_kernel.shell.panel.rows import Row, row_of, row_of_approval

MOST_ROWS: Final = 200
_READ_BYTES: Final = 4 * 2**20
_MOST_WORKERS: Final = 50
_LOOK_S: Final = 1.0
"""How often workers are looked at, and answers that other processes have given."""
_TONES: Final = {"busy": "warn", "blocked": "bad", "error": "bad", "dead": "bad"}


@dataclass(slots=True, kw_only=True)
class Changes:
    """What is new.

    Attributes:
        is_all: True where nothing of what was shown before counts any more.
        head: The task and the cell that runs; None where they are the same.
        rows: Lines that are new, or others under a known key.
        dropped: Keys of lines that are left out from now on.
        workers: All of them; None where they are the same.
    """

    is_all: bool = False
    head: Row | None = None
    rows: list[Row] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    workers: list[Row] | None = None

    def document(self) -> dict[str, object]:
        """As JSON for the views; empty where nothing has changed."""
        found: dict[str, object] = {}
        if self.is_all:
            found["op"] = "all"
        elif self.head is None and self.workers is None and not (self.rows or self.dropped):
            return {}
        else:
            found["op"] = "changes"
        found |= {} if self.head is None else {"head": self.head}
        found |= {} if self.workers is None else {"workers": self.workers}
        return found | {"rows": self.rows, "dropped": self.dropped}


class Board:
    """Of one session; used by one thread at a time.

    Args:
        session: Whose.
        clock: Seconds that only grow.
    """

    def __init__(self, session: Session, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._place = ("", "")
        self._seq = 0
        self._seen_seq = -1
        self._is_settled = False
        self._next_look = 0.0
        self._task: Mapping[str, object] = {}
        self._rows: dict[str, Row] = {}
        self._names: dict[str, str] = {}
        self._workers: list[Row] = []
        self._head: Row = {}
        self._since = ("", 0)
        self.now: dict[str, object] = {}
        """All of it, as it was looked at last; replaced as a whole."""

    def look(self) -> Changes:
        """What has changed since the last look."""
        changes = Changes()
        place = self._session.where.now[:2]
        if place != self._place:
            self._begin(place)
            changes.is_all = True
        touched: dict[str, Row] = {}
        is_due = (at := self._clock()) >= self._next_look or changes.is_all
        asked = self._read(touched)
        if is_due:
            self._next_look = at + _LOOK_S
            self._look_at_workers(changes)
        if is_due or asked:
            self._look_at_questions(asked, touched)
        self._take(touched, changes)
        head = self._seen_head()
        if head != self._head or changes.is_all:
            self._head = changes.head = head
        if changes.is_all:
            changes.rows, changes.workers = list(self._rows.values()), self._workers
        if changes.document():
            self.now = {"head": self._head, "rows": [*self._rows.values()],
                        "workers": self._workers}  # fmt: skip
        return changes

    def _begin(self, place: tuple[str, str]) -> None:
        self._place = place
        self._seq, self._seen_seq = 0, -1
        self._task, self._rows = {}, {}

    def _read(self, touched: dict[str, Row]) -> set[str]:
        """Take in new records; returns the questions that they are about."""
        journal = self._session.journal
        last = journal.last_seq
        if last == self._seen_seq and self._is_settled:
            return set()
        # The last record has its number a moment before it has its place in the file.
        self._is_settled, self._seen_seq = last == self._seen_seq, last
        plan_id, task_id = self._place
        path = self._session.home.log_path(plan_id, task_id)
        paths = [each for each in journal.paths
                 if each.parent == path.parent and each.name.startswith(path.stem)]  # fmt: skip
        found = recent_records(
            paths,
            self._session.identity.session,
            after=self._seq,
            limit=2 * MOST_ROWS,
            budget_bytes=_READ_BYTES,
        )
        asked: set[str] = set()
        for record in found.records:
            if type(seq := record.get("seq")) is int:
                self._seq = max(self._seq, seq)
            if record.get("task_id") != task_id:
                continue
            if record.get("kind") == "task":
                self._task = record
            elif record.get("kind") == "approval":
                asked.add(str(record.get("approval_id")))
            elif (row := row_of(record)) is not None:
                touched[str(row["key"])] = row
                self._name_target(record, row)
        return asked

    def _name_target(self, record: Mapping[str, object], row: Row) -> None:
        """A way back is told by the name of the checkpoint that it went to."""
        if record.get("kind") == "checkpoint":
            self._names[str(record.get("checkpoint_id"))] = str(row["title"])
            if len(self._names) > MOST_ROWS:
                del self._names[next(iter(self._names))]
        elif record.get("kind") == "rollback":
            name = self._names.get(str(record.get("checkpoint_id")))
            row["title"] = row["title"] if name is None else f"to {name}"

    def _look_at_questions(self, asked: set[str], touched: dict[str, Row]) -> None:
        if self._session.find_approvals() is None:
            return
        beside = self._session.beside
        shown = {str(row["key"]).partition(":")[2] for row in self._rows.values()
                 if row.get("act") == "answer"}  # fmt: skip
        try:
            questions = beside.open()
            left = (asked | shown) - {row.approval_id for row in questions}
            questions += [beside.get(each) for each in sorted(left)]
        except FlowError:
            return  # the store may be readable at the next look
        for each in questions[-MOST_ROWS:]:
            row = row_of_approval(each)
            touched[str(row["key"])] = row

    def _look_at_workers(self, changes: Changes) -> None:
        isolation = self._session.find_isolation()
        views = [] if isolation is None else isolation.steering.views()
        workers = [_worker_row(view) for view in views[:_MOST_WORKERS]]
        if workers != self._workers:
            self._workers = changes.workers = workers

    def _take(self, touched: Mapping[str, Row], changes: Changes) -> None:
        for key, row in touched.items():
            if self._rows.get(key) != row:
                self._rows[key] = row
                changes.rows.append(row)
        for key in _overdue(self._rows):
            del self._rows[key]
            changes.dropped.append(key)
        gone = set(changes.dropped)
        changes.rows = [row for row in changes.rows if row["key"] not in gone]

    def _seen_head(self) -> Row:
        plan_id, task_id = self._place
        cell = self._session.recorder.running()
        name = self._task.get("name")
        title = task_id if task_id != ADHOC_TASK else "no task"
        return {
            "title": f"{title} {one_line(name, 120)}" if isinstance(name, str) else title,
            "status": one_line(str(self._task.get("status") or ""), 20),
            "plan": one_line(plan_id, 60),
            "step": one_line(self._session.where.now.step or "", 80),
            "running": None if cell is None else cell.request.execution_count or 0,
            "since_ms": None if cell is None else self._since_ms(cell),
            "recording": not self._session.recorder.is_paused,
        }

    def _since_ms(self, cell: OpenCell) -> int:
        """When a cell began, by the clock on the wall: a view counts on by itself."""
        if self._since[0] != cell.key:
            began_ns = time.time_ns() - (time.perf_counter_ns() - cell.started_ns)
            self._since = (cell.key, began_ns // 1_000_000)
        return self._since[1]


def _overdue(rows: Mapping[str, Row]) -> Sequence[str]:
    """The oldest lines that are too many; one with an open question stays."""
    surplus = len(rows) - MOST_ROWS
    if surplus <= 0:
        return ()
    return [key for key, row in rows.items() if row.get("act") != "answer"][:surplus]


def _worker_row(view: WorkerView) -> Row:
    line = view.line
    parts = [
        one_line(f"{line.state} {line.detail or ''}", 60),
        "" if view.cpu_pct is None else f"{view.cpu_pct:.0f} % CPU",
        "" if view.rss_bytes is None else human_bytes(view.rss_bytes),
    ]
    return {
        "key": f"worker:{one_line(line.worker_id, 40)}",
        "id": line.worker_id,
        "title": f"{one_line(line.worker_id, 40)} {name_of(view)}",
        "tone": _TONES.get(line.state, "dim"),
        "detail": " · ".join(part for part in parts if part),
    }
