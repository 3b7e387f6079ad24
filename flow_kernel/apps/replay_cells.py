"""Which cells of a log a replay holds, and in which order (pure).

Called by `replay`; `replay_notebook` and `replay_script` write them down.

Hidden requests and cells that other cells ran are left out: running the outer cell runs them. So
are cells that never ran because an earlier one failed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flow_kernel.errors import NotFound, UsageError

Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the user wants of a log.

    Attributes:
        only_success: Leave out cells that failed.
        only_last_versions: Of a cell that ran several times keep the last run.
        until_seq: The last record that counts, in the one session there is.
        session: The first characters of the session that counts.
    """

    only_success: bool = False
    only_last_versions: bool = False
    until_seq: int | None = None
    session: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayCell:
    """One cell to write.

    Attributes:
        record: Its `cell` record; the `cell_started` record of a cell that killed the kernel.
        late: Output that came after its end: (stream, text).
        death: The record of the death that it caused.
    """

    record: Record
    late: tuple[tuple[str, str], ...] = ()
    death: Record | None = None

    @property
    def code(self) -> str:
        """Its source, without secrets."""
        return str(self.record.get("code") or "")

    @property
    def has_succeeded(self) -> bool:
        """True when it ran to its end without an error."""
        return self.death is None and self.record.get("success") is True


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The cells in their order, and what a reader should know of them.

    Attributes:
        cells: Sessions in the order in which they began, each in the order of its records.
        source: Names of the log files.
        left_out: What was left out, and how often.
    """

    cells: tuple[ReplayCell, ...]
    source: str
    left_out: dict[str, int] = field(default_factory=dict)


def choose(records: Iterable[Record], choice: Choice, *, source: str) -> Replay:
    """The replay of `records`.

    Args:
        records: All records of the log, in its order.
        choice: What the user wants.
        source: Names of the log files.

    Raises:
        NotFound: There is no such session, or no cell is left.
        UsageError: `until_seq` or `session` could mean more than one session.
    """
    kept = _of_session(list(records), choice)
    if choice.until_seq is not None:
        kept = [record for record in kept if _seq(record) <= choice.until_seq]
    sessions = {session: rank for rank, session in enumerate(_sessions(kept))}
    everything = sorted(_cells(kept), key=lambda c: (sessions[_session(c.record)], _seq(c.record)))
    cells, left_out = _select(everything, choice)
    if not cells:
        raise NotFound(f"{source} holds no cell to replay")
    left_out["hidden"] = sum(_hidden_count(record) for record in kept)
    return Replay(cells=tuple(cells), source=source, left_out=left_out)


def _of_session(records: Sequence[Record], choice: Choice) -> list[Record]:
    sessions = _sessions(records)
    if choice.session is not None:
        sessions = [session for session in sessions if session.startswith(choice.session)]
        if not sessions:
            raise NotFound(f"there is no session {choice.session} in the log")
    if (choice.session is not None or choice.until_seq is not None) and len(sessions) > 1:
        names = ", ".join(session[:8] for session in sessions[:5])
        raise UsageError(
            f"there are {len(sessions)} sessions: {names}", hint="pick one with --session"
        )
    return [record for record in records if _session(record) in sessions]


def _cells(records: Sequence[Record]) -> list[ReplayCell]:
    late: dict[str, list[tuple[str, str]]] = {}
    started: dict[str, Record] = {}
    deaths: list[Record] = []
    for record in records:
        kind, span = record.get("kind"), str(record.get("span_id"))
        if kind == "late":
            late.setdefault(span, []).append((str(record.get("stream")), str(record.get("text"))))
        elif kind == "cell_started":
            started[span] = record
        elif kind == "death":
            deaths.append(record)
    cells = [
        ReplayCell(record=record, late=tuple(late.get(str(record.get("span_id")), ())))
        for record in records
        if record.get("kind") == "cell"
    ]
    for death in deaths:
        fatal = started.get(str(death.get("span_id")))
        if fatal is not None:
            cells.append(ReplayCell(record=fatal, death=death))
    return cells


def _select(cells: Sequence[ReplayCell], choice: Choice) -> tuple[list[ReplayCell], dict[str, int]]:
    spans = {cell.record.get("span_id") for cell in cells}
    latest = {_version_key(cell): index for index, cell in enumerate(cells)}
    left_out = {"nested": 0, "never run": 0, "failed": 0, "earlier versions": 0}
    kept = []
    for index, cell in enumerate(cells):
        if cell.record.get("parent_span_id") in spans:
            left_out["nested"] += 1
        elif cell.record.get("status") == "aborted":
            left_out["never run"] += 1
        elif choice.only_success and not cell.has_succeeded:
            left_out["failed"] += 1
        elif choice.only_last_versions and latest[_version_key(cell)] != index:
            left_out["earlier versions"] += 1
        else:
            kept.append(cell)
    return kept, left_out


def _version_key(cell: ReplayCell) -> object:
    # Without the client's id every run is a cell of its own.
    return cell.record.get("cell_id") or cell.record.get("span_id")


def _sessions(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(_session(record) for record in records))


def _session(record: Record) -> str:
    return str(record.get("session"))


def _seq(record: Record) -> int:
    seq = record.get("seq")
    return seq if isinstance(seq, int) else 0


def _hidden_count(record: Record) -> int:
    count = record.get("count")
    return count if record.get("kind") == "hidden" and isinstance(count, int) else 0
