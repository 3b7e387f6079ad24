"""The screen of `jupyter flow watch`, and what its keys do (pure).

Called by `watch`. Everything that a user has written goes through `tables`, which lets no control
character pass.

    /work/.flow                                                    12:03:44 UTC

    SESSIONS
    3f2a91c0  busy 3.2 s  local/T-0001 load  model.fit(x, y)

    WAITING FOR AN ANSWER
    > A-0001  Delete 3 files?                                      local/T-0001

    j k select   a approve   r reject   q quit
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from flow_kernel.apps.tables import Cell, Column, Painted, Painter, Table
from flow_kernel.apps.watch_gather import SessionLine, Snapshot
from flow_kernel.records.plain import human_ms
from flow_kernel.session.isolation.worker_text import HEADER, cells_of
from flow_kernel.session.task_text import MARKS
from flow_kernel.store.contract import ApprovalRow, TaskRow

_MOST: Final = {"approvals": 6, "sessions": 4, "tasks": 6, "workers": 6}
_HELP: Final = "j k select   a approve   r reject   q quit"
_LEAST_COLUMNS: Final = 40
_LEAST_ROWS: Final = 6
_CODE_CHARS: Final = 400
_STATES: Final = {"busy": "bold", "silent": "red", "blocked": "red", "error": "red", "idle": "dim"}
_TASKS: Final = {"done": "green", "failed": "red", "doing": "bold", "waiting": "yellow"}
_WORKER: Final = ("id", "name", "state", "task", "cpu", "memory", "up")
_DECISIONS: Final = {"a": "approve", "r": "reject"}
_DOWN: Final = ("j", "\x1b[B", "\x1bOB")
_UP: Final = ("k", "\x1b[A", "\x1bOA")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What the person is at.

    Attributes:
        selected: The question that the keys are about; empty for the first one.
        asks: What has to be confirmed: approve or reject; empty for nothing.
        message: What came of the last key.
        is_done: True once nobody wants to watch any more.
    """

    selected: str = ""
    asks: str = ""
    message: str = ""
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class Decide:
    """A question is to be answered."""

    approval_id: str
    decision: str


def press(hand: Hand, key: str, open_ids: Sequence[str]) -> tuple[Hand, Decide | None]:
    """What a key does.

    Args:
        hand: Before.
        key: As the terminal sends it.
        open_ids: Of the questions that are shown.
    """
    at = open_ids.index(hand.selected) if hand.selected in open_ids else 0
    selected = open_ids[at] if open_ids else ""
    if hand.asks:
        return _confirm(hand, key, open_ids, selected)
    if key == "q":
        return replace(hand, is_done=True), None
    if key in _DECISIONS:
        asks = _DECISIONS[key] if selected else ""
        message = "" if selected else "no question is open"
        return Hand(selected=selected, asks=asks, message=message), None
    step = (key in _DOWN) - (key in _UP)
    if step and open_ids:
        return Hand(selected=open_ids[max(0, min(at + step, len(open_ids) - 1))]), None
    return hand, None


def _confirm(
    hand: Hand, key: str, open_ids: Sequence[str], selected: str
) -> tuple[Hand, Decide | None]:
    """What a key does where it was asked whether an answer is meant."""
    is_there = hand.selected in open_ids
    if key == "y" and is_there:
        return Hand(selected=selected), Decide(hand.selected, hand.asks)
    said = "not answered" if is_there else f"{hand.selected} is no longer open"
    return Hand(selected=selected, message=said), None


def render(
    snapshot: Snapshot, hand: Hand, painter: Painter, *, columns: int, rows: int
) -> list[str]:
    """The lines of the screen, at most `rows`; each within `columns`.

    Args:
        snapshot: What there is.
        hand: What the person is at.
        painter: Has the styles.
        columns: Of the screen.
        rows: Likewise.
    """
    if columns < _LEAST_COLUMNS or rows < _LEAST_ROWS:
        return ["the window is too small"[:columns]]
    lines = [_title(snapshot, painter, columns)]
    for title, body in _sections(snapshot, hand, painter, columns):
        lines += ["", painter.paint(title, "dim"), *body]
    room = max(rows - len(lines) - 4, 0)
    if room and snapshot.records:
        recent = [_record(record) for record in snapshot.records[:room]]
        body = _table((_at(8), _at(8), _at(10), _share(1)), recent, painter, columns)
        lines += ["", painter.paint("RECENT", "dim"), *body]
    lines = lines[: max(rows - 2, 1)]
    lines += [""] * (max(rows - 1, 1) - len(lines))
    return [*lines, _foot(snapshot, hand, painter, columns)][:rows]


def plain_lines(snapshot: Snapshot, painter: Painter, *, columns: int) -> list[str]:
    """The same for a pipe: everything, and no keys."""
    rows = 30 + len(snapshot.records)
    lines = render(snapshot, Hand(), painter, columns=columns, rows=rows)[:-1]
    while lines and not lines[-1]:
        lines.pop()
    return [line.rstrip() for line in lines]


def _title(snapshot: Snapshot, painter: Painter, columns: int) -> str:
    at = f"{snapshot.at[11:19]} UTC"
    home = painter.cell([Painted(snapshot.home, "bold")], max(columns - len(at) - 1, 1))
    return f"{home} {painter.paint(at, 'dim')}" if columns > len(at) else home


def _sections(
    snapshot: Snapshot, hand: Hand, painter: Painter, columns: int
) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []

    def add(title: str, kind: str, shape: Sequence[Column], table: list[Sequence[Cell]]) -> None:
        shown, most = table, _MOST[kind]
        if len(table) > most:
            title, shown = f"{title}, {most} of {len(table)}", table[:most]
        if shown:
            found.append((title, _table(shape, shown, painter, columns)))

    sessions = [_session(line) for line in snapshot.sessions]
    add("SESSIONS", "sessions", (_at(8), _at(6), _share(1), _share(3)), sessions)
    questions = _questions(snapshot.approvals, hand)
    add("WAITING FOR AN ANSWER", "approvals", (_at(1), _at(6), _share(3), _share(1)), questions)
    tasks = [_task(task) for task in snapshot.tasks]
    add("TASKS", "tasks", (_at(6), _at(1), _share(1), _at(4)), tasks)
    workers = [_worker(cells_of(view)) for view in snapshot.workers]
    shape = [_share(1) if name in ("name", "task") else _at(3) for name in _WORKER]
    add("WORKERS", "workers", shape, workers)
    if not found:
        found.append(("", ["nothing happens here yet"]))
    return found


def _questions(approvals: Sequence[ApprovalRow], hand: Hand) -> list[Sequence[Cell]]:
    """Those around the selected one."""
    ids = [row.approval_id for row in approvals]
    at = ids.index(hand.selected) if hand.selected in ids else 0
    first = max(0, at - _MOST["approvals"] + 1)
    return [
        [
            [Painted(">" if number == at else "", "yellow")],
            [Painted(row.approval_id, "yellow")],
            row.message,
            f"{row.plan_id}/{row.task_id}",
        ]
        for number, row in enumerate(approvals)
        if number >= first
    ]


def _session(line: SessionLine) -> Sequence[Cell]:
    took = "" if line.elapsed_ms is None else f" {human_ms(line.elapsed_ms)}"
    state = [Painted(line.state + took, _STATES.get(line.state, ""))]
    code = line.code[:_CODE_CHARS] or line.notebook
    return [line.session[:8], state, line.place, code]


def _task(task: TaskRow) -> Sequence[Cell]:
    style = _TASKS.get(task.status, "")
    mark = MARKS.get(task.status, "")
    mark = mark if style or mark.isascii() else "·"
    return [task.task_id, [Painted(mark, style)], task.name[:_CODE_CHARS], task.status]


def _worker(cells: list[str]) -> Sequence[Cell]:
    told = dict(zip(HEADER, cells, strict=True))
    state = Painted(told["state"], _STATES.get(told["state"].split(" ")[0], ""))
    return [[state] if name == "state" else told[name] for name in _WORKER]


def _record(record: Mapping[str, Any]) -> Sequence[Cell]:
    kind = str(record.get("kind"))
    failed = record.get("success") is False or kind == "death"
    text = [Painted(_said(kind, record)[:_CODE_CHARS], "red" if failed else "")]
    when = str(record.get("timestamp"))[11:19]
    return [[Painted(when, "dim")], str(record.get("session"))[:8], kind, text]


def _said(kind: str, record: Mapping[str, Any]) -> str:
    names: tuple[str, ...]
    match kind:
        case "cell":
            error = record.get("error")
            ename = f"  ({error.get('ename')})" if isinstance(error, dict) else ""
            return f"{record.get('code')}{ename}"
        case "worker":
            names = ("worker_id", "state", "reason")
        case "approval":
            names = ("approval_id", "status", "message")
        case "task" | "plan" | "step":
            names = ("task_id", "status", "name")
        case _:
            names = ("name", "status", "reason", "text", "key")
    return " ".join(str(record[name]) for name in names if record.get(name))


def _foot(snapshot: Snapshot, hand: Hand, painter: Painter, columns: int) -> str:
    if hand.asks:
        row = next((one for one in snapshot.approvals if one.approval_id == hand.selected), None)
        about = "" if row is None else f" {row.message}"
        text = [Painted(f"{hand.asks} {hand.selected}? y / n ", "yellow"), Painted(about)]
    elif hand.message:
        text = [Painted(hand.message)]
    else:
        text = [Painted(_HELP, "dim")]
    return painter.cell(text, columns).rstrip()


def _table(
    shape: Sequence[Column], rows: Sequence[Sequence[Cell]], painter: Painter, columns: int
) -> list[str]:
    table = Table(shape, rows, width=columns)
    return [table.row(row, painter) for row in rows]


def _at(floor: int) -> Column:
    return Column(title="", floor=floor)


def _share(share: int) -> Column:
    return Column(title="", share=share, floor=4)
