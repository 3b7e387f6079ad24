"""The statements for approvals inside one transaction on the SQLite store.

Used by `sqlite_rows`, whose transaction takes them in.

The numbers of approvals are counted per home in a row of their own, so the next one is known
without looking at those that were given out.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields
from typing import Final

from flow_kernel.store.contract import ApprovalRow

_FIELDS: Final = tuple(f.name for f in fields(ApprovalRow))
_CHANGES: Final = ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[1:])
_PUT: Final = (
    f"INSERT INTO approval ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608 - our own names
    f" ON CONFLICT (approval_id) DO UPDATE SET {_CHANGES}"
)
_SELECT: Final = f"SELECT {', '.join(_FIELDS)} FROM approval"  # noqa: S608 - our own names
_ORDER: Final = "ORDER BY LENGTH(approval_id), approval_id"
_NEWEST: Final = "ORDER BY CAST(SUBSTR(approval_id, 3) AS INTEGER) DESC"


class ApprovalStatements:
    """Reads and writes of approvals; see `contract.Reading` and `contract.Writing`."""

    __slots__ = ()

    _run: Callable[..., sqlite3.Cursor]

    def note(self, kind: str, plan_id: str, task_id: str, at: str, fields: object) -> int:
        """Add a row to the outbox; the transaction's own."""
        raise NotImplementedError

    def approval(self, approval_id: str) -> ApprovalRow | None:
        """One approval."""
        return next(rows_of(self._run(f"{_SELECT} WHERE approval_id = ?", (approval_id,))), None)

    def approvals(self) -> list[ApprovalRow]:
        """All approvals in the order in which they were asked."""
        return [*rows_of(self._run(f"{_SELECT} {_ORDER}"))]

    def open_approvals(self, plan_id: str | None = None, task_id: str = "") -> list[ApprovalRow]:
        """Approvals without an answer in the order in which they were asked, of a task or all."""
        query = f"{_SELECT} WHERE status = 'open'"
        if plan_id is None:
            return [*rows_of(self._run(f"{query} {_ORDER}"))]
        place = (plan_id, task_id)
        return [*rows_of(self._run(f"{query} AND plan_id = ? AND task_id = ? {_ORDER}", place))]

    def newest_open_approvals(self, session: str, *, limit: int) -> list[ApprovalRow]:
        """The last open ones that a session has asked, in the order in which they were asked."""
        query = f"{_SELECT} WHERE status = 'open' AND session = ? {_NEWEST} LIMIT ?"
        return [*rows_of(self._run(query, (session, limit)))][::-1]

    def unused_approvals(self, approval_hash: str) -> list[ApprovalRow]:
        """Approvals with this hash whose answer, if there is one, nobody has used."""
        query = f"{_SELECT} WHERE approval_hash = ? AND is_used = 0 {_ORDER}"
        return [*rows_of(self._run(query, (approval_hash,)))]

    def new_approval_id(self) -> str:
        """The next free id of the home."""
        made = self._run(
            "INSERT INTO counter (letter, last) VALUES ('A', 1)"
            " ON CONFLICT (letter) DO UPDATE SET last = last + 1 RETURNING last"
        )
        return f"A-{made.fetchone()[0]:04d}"

    def put_approval(self, approval: ApprovalRow, *, at: str) -> None:
        """Insert or replace an approval, and note it in the outbox."""
        said = asdict(approval)
        self._run(_PUT, tuple(said.values()))
        # A record has its own `session`: the one that wrote it.
        said["requested_in"] = said.pop("session")
        self.note("approval", said.pop("plan_id"), said.pop("task_id"), at, said)


def rows_of(found: Iterable[tuple[object, ...]]) -> Iterator[ApprovalRow]:
    """Approvals from what was selected: all columns, in the order of the fields."""
    for row in found:
        said = dict(zip(_FIELDS, row, strict=True))
        yield ApprovalRow(**{**said, "is_used": bool(said["is_used"])})  # type: ignore[arg-type]  # the types are those of the table
