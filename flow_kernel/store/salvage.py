"""Rows out of a SQLite file that is damaged.

Called by `session.store_repair`, on a copy: the file itself is evidence and is never written.

Each table is read from its beginning to the first page that cannot be read, and from its end back
to it, so one damaged page costs what lies on it. A file whose first bytes are not those of SQLite
is tried with those bytes put right.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import orjson

from flow_kernel.store.contract import ApprovalRow, Change
from flow_kernel.store.rebuild import WAS

_TABLES: Final = {
    "task": "task",
    "step": "step",
    "context_item": "context",
    "tag": "tag",
    "approval": "approval",
}
_MAGIC: Final = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What a damaged file still gives.

    Attributes:
        changes: Rows of its outbox, each with the id of the store.
        approvals: Rows of its approvals by id; as they are there, not as the outbox tells.
        carried: Up to which change it had brought all into the logs.
        resumable: Plan and id of the open task of each notebook.
        last_tasks: The last number of a task that was given out, by plan.
        last_approval: The last number of an approval that was given out.
        rows: What its tables say, whatever the outbox does.
        lives: Ids of the stores that it was made from, its own first; empty when nobody knows.
    """

    changes: tuple[Change, ...] = ()
    approvals: dict[str, ApprovalRow]
    carried: int
    resumable: dict[str, tuple[str, str]]
    last_tasks: dict[str, int]
    last_approval: int = 0
    rows: tuple[Change, ...] = ()
    lives: tuple[str, ...]


NOTHING: Final = Salvaged(approvals={}, carried=0, resumable={}, last_tasks={}, lives=())


def salvage(copy: Path) -> Salvaged:
    """What a copy of a damaged file gives; nothing where SQLite cannot open it.

    Args:
        copy: With its write-ahead log beside it. It may be changed.
    """
    _put_magic_right(copy)
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA cell_size_check=ON")
            connection.text_factory = _text
            return _salvaged(connection)
    except sqlite3.Error:
        return NOTHING


def _salvaged(connection: sqlite3.Connection) -> Salvaged:
    lives = [str(row["store_id"]) for row in _rows(connection, "life") if row.get("is_own")]
    lives += [str(row["store_id"]) for row in _rows(connection, "life") if not row.get("is_own")]
    store_id = lives[0] if lives else ""
    changes = [_change(row, store_id) for row in _rows(connection, "outbox")]
    approvals = [_approval(row) for row in _rows(connection, "approval")]
    return Salvaged(
        changes=tuple(change for change in changes if change is not None),
        approvals={row.approval_id: row for row in approvals if row is not None},
        carried=max((_int(row.get("number")) for row in _rows(connection, "carried")), default=0),
        resumable={
            str(row["notebook"]): (str(row["plan_id"]), str(row["task_id"]))
            for row in _rows(connection, "resumable")
        },
        last_tasks={
            str(row["plan_id"]): _int(row.get("last_task")) for row in _rows(connection, "plan")
        },
        last_approval=max(
            (_int(row.get("last")) for row in _rows(connection, "counter")), default=0
        ),
        rows=tuple(
            change
            for table, kind in _TABLES.items()
            for row in _rows(connection, table)
            if (change := _change(_as_change(row, kind), store_id)) is not None
        ),
        lives=tuple(dict.fromkeys(lives)),
    )


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[dict[str, object]]:
    """The rows of a table that can be read, in their order; none where there is no such table."""
    head: list[tuple[int, dict[str, object]]] = []
    try:
        head.extend(_read(connection, table, "ASC"))
    except sqlite3.Error:
        last = head[-1][0] if head else -(1 << 62)
        tail: list[tuple[int, dict[str, object]]] = []
        with suppress(sqlite3.Error):
            tail.extend(one for one in _read(connection, table, "DESC", above=last))
        head += reversed(tail)
    return (row for _, row in head)


def _read(
    connection: sqlite3.Connection, table: str, order: str, *, above: int | None = None
) -> Iterator[tuple[int, dict[str, object]]]:
    where = "" if above is None else f" WHERE _rowid_ > {above}"
    cursor = connection.execute(
        f"SELECT _rowid_, * FROM {table} NOT INDEXED{where} ORDER BY _rowid_ {order}"  # noqa: S608 - our own names
    )
    names = [column[0] for column in cursor.description][1:]
    for rowid, *values in cursor:
        yield rowid, dict(zip(names, values, strict=True))


def _as_change(row: dict[str, object], kind: str) -> dict[str, object]:
    """What the outbox would say of a row of a table."""
    said = {name: value for name, value in row.items() if name not in ("plan_id", "task_id")}
    if kind in ("context", "tag"):
        said["is_set"] = True
    if kind == "context":
        said["value"] = _json(said.get("value"))
    if kind == "approval":
        said["requested_in"] = said.pop("session", "")
    at = row.get("updated_at") or row.get("created_at") or row.get("requested_at") or ""
    return {**row, "number": 0, "kind": kind, "at": at, "fields": orjson.dumps(said)}


def _json(value: object) -> object:
    # Whoever reads it sees that it is no value.
    try:
        return orjson.loads(str(value))
    except ValueError:
        return None


def _change(row: dict[str, object], store_id: str) -> Change | None:
    try:
        said = orjson.loads(row["fields"])  # type: ignore[arg-type]  # any other type is an error, too
    except (ValueError, KeyError):
        return None
    texts = [row.get(name) for name in ("kind", "plan_id", "task_id", "at")]
    number = row.get("number")
    if type(said) is not dict or type(number) is not int or not all(type(t) is str for t in texts):
        return None
    kind, plan_id, task_id, at = map(str, texts)
    was = said.pop(WAS, None)
    if type(was) is list and [type(part) for part in was] == [str, int]:
        store_id, number = was
    return Change(
        number=number,
        kind=kind,
        plan_id=plan_id,
        task_id=task_id,
        at=at,
        fields=said,
        store_id=store_id,
    )


def _approval(row: dict[str, object]) -> ApprovalRow | None:
    known = {one.name: row[one.name] for one in fields(ApprovalRow) if one.name in row}
    if type(row.get("is_used")) is not int or type(row.get("approval_id")) is not str:
        return None
    try:
        return ApprovalRow(**{**known, "is_used": bool(row["is_used"])})  # type: ignore[arg-type]  # the types are those of the table
    except TypeError:
        return None


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _int(value: object) -> int:
    return value if type(value) is int else 0


def _put_magic_right(copy: Path) -> None:
    with copy.open("r+b") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            file.seek(0)
            file.write(_MAGIC)
