"""The statements for pages of long lists inside one transaction on the SQLite store.

Used by `sqlite_rows`, whose transaction takes them in.

Each walks an index from where the page before ended and stops when the page is full. Where rows are
left out, how far it may walk is found first, by a step over that many entries of the index.
"""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Final

from flow_kernel.store.approvals_sql import rows_of
from flow_kernel.store.contract import ApprovalRow, TaskRow
from flow_kernel.store.pages import Page, TaskPlace, TaskWanted
from flow_kernel.store.run_rows import RunRow

_TASK_FIELDS: Final = tuple(f.name for f in fields(TaskRow))
_TASKS: Final = f"SELECT {', '.join(_TASK_FIELDS)} FROM task"  # noqa: S608 - our own names
_APPROVALS: Final = f"SELECT {', '.join(f.name for f in fields(ApprovalRow))} FROM approval"  # noqa: S608 - our own names
_RUN_FIELDS: Final = tuple(f.name for f in fields(RunRow))
_RUNS: Final = f"SELECT {', '.join(_RUN_FIELDS)} FROM run"  # noqa: S608 - our own names

_TASK_PLACES: Final = "SELECT created_at, plan_id, task_id FROM task"
_APPROVAL_IDS: Final = "SELECT approval_id FROM approval"
_TASK_KEY: Final = "(created_at, plan_id, task_id)"
_TASK_ORDER: Final = "ORDER BY created_at DESC, plan_id DESC, task_id DESC"
_APPROVAL_KEY: Final = "CAST(SUBSTR(approval_id, 3) AS INTEGER)"
_APPROVAL_ORDER: Final = f"ORDER BY {_APPROVAL_KEY} DESC"
_RUN_KEY: Final = "CAST(SUBSTR(run_id, 3) AS INTEGER)"
_TEXT: Final = "plan_id || '/' || task_id || ' ' || name || ' ' || description || ' ' || type"
_IS_OPEN: Final = "status = 'open' AND (expires_at IS NULL OR expires_at > ?)"


class PageStatements:
    """Pages; see `contract.Reading`."""

    __slots__ = ()

    _run: Callable[..., sqlite3.Cursor]

    def task_page(
        self, wanted: TaskWanted, *, before: TaskPlace | None, limit: int, looked_at: int
    ) -> Page[TaskRow, TaskPlace]:
        """Tasks that are older than a place, of which `looked_at` are read at most."""
        where, given = _of_tasks(wanted)
        is_filtered = bool(where)
        if before is not None:
            where.append(f"{_TASK_KEY} < (?, ?, ?)")
            given += before
        floor = self._task_floor(before, looked_at) if is_filtered else None
        if floor is not None:
            where.append(f"{_TASK_KEY} >= (?, ?, ?)")
            given += floor
        query = f"{_TASKS} {_all(where)} {_TASK_ORDER} LIMIT ?"
        found = self._run(query, (*given, limit))
        rows = [TaskRow(**dict(zip(_TASK_FIELDS, row, strict=True))) for row in found]
        if len(rows) < limit:
            return Page(rows=rows, last=floor)
        last = rows[-1]
        return Page(rows=rows, last=TaskPlace(last.created_at, last.plan_id, last.task_id))

    def open_approval_page(
        self, *, at: str, before: str | None, limit: int
    ) -> Page[ApprovalRow, str]:
        """Questions that can be answered at a time."""
        where, given = [_IS_OPEN], [at]
        return self._approval_page(where, given, before, limit=limit, floor=None)

    def other_approval_page(
        self, statuses: Sequence[str], *, at: str, before: str | None, limit: int, looked_at: int
    ) -> Page[ApprovalRow, str]:
        """Questions that cannot: with one of some statuses in the store; empty for any."""
        where, given = [f"NOT ({_IS_OPEN})"], [at]
        if statuses:
            where.append(f"status IN ({', '.join('?' * len(statuses))})")
            given += statuses
        floor = self._approval_floor(before, looked_at)
        return self._approval_page(where, given, before, limit=limit, floor=floor)

    def count_open_approvals(self, *, at: str) -> int:
        """How many questions can be answered at a time."""
        query = f"SELECT COUNT(*) FROM approval WHERE {_IS_OPEN}"  # noqa: S608 - our own names
        return int(self._run(query, (at,)).fetchone()[0])

    def approvals_of(self, plan_id: str, task_id: str, *, limit: int) -> list[ApprovalRow]:
        """The newest questions of a task, in the order in which they were asked."""
        query = f"{_APPROVALS} WHERE plan_id = ? AND task_id = ? {_APPROVAL_ORDER} LIMIT ?"
        return [*rows_of(self._run(query, (plan_id, task_id, limit)))][::-1]

    def run_page(self, *, before: str | None, limit: int) -> list[RunRow]:
        """Runs that are older than one."""
        where, given = [], []
        if before is not None:
            where.append(f"{_RUN_KEY} < ?")
            given.append(_number(before))
        query = f"{_RUNS} {_all(where)} ORDER BY {_RUN_KEY} DESC LIMIT ?"
        found = self._run(query, (*given, limit))
        return [RunRow(**dict(zip(_RUN_FIELDS, row, strict=True))) for row in found]

    def _approval_page(
        self,
        where: list[str],
        given: Sequence[object],
        before: str | None,
        *,
        limit: int,
        floor: str | None,
    ) -> Page[ApprovalRow, str]:
        where, values = [*where], [*given]
        for sign, name in (("<", before), (">=", floor)):
            if name is not None:
                where.append(f"{_APPROVAL_KEY} {sign} ?")
                values.append(_number(name))
        query = f"{_APPROVALS} {_all(where)} {_APPROVAL_ORDER} LIMIT ?"
        rows = [*rows_of(self._run(query, (*values, limit)))]
        return Page(rows=rows, last=floor if len(rows) < limit else rows[-1].approval_id)

    def _task_floor(self, before: TaskPlace | None, looked_at: int) -> TaskPlace | None:
        where = f"WHERE {_TASK_KEY} < (?, ?, ?)" if before is not None else ""
        query = f"{_TASK_PLACES} {where} {_TASK_ORDER} LIMIT 1 OFFSET ?"
        found = self._run(query, (*(before or ()), looked_at - 1)).fetchone()
        return None if found is None else TaskPlace(*found)

    def _approval_floor(self, before: str | None, looked_at: int) -> str | None:
        where = f"WHERE {_APPROVAL_KEY} < ?" if before is not None else ""
        given = () if before is None else (_number(before),)
        query = f"{_APPROVAL_IDS} {where} {_APPROVAL_ORDER} LIMIT 1 OFFSET ?"
        found = self._run(query, (*given, looked_at - 1)).fetchone()
        return None if found is None else str(found[0])


def _of_tasks(wanted: TaskWanted) -> tuple[list[str], list[object]]:
    where: list[str] = []
    given: list[object] = []
    if wanted.plan_id is not None:
        # Not as it is: by its own index all tasks of the plan would be sorted for each page.
        where.append("plan_id || '' = ?")
        given.append(wanted.plan_id)
    if wanted.statuses:
        where.append(f"status IN ({', '.join('?' * len(wanted.statuses))})")
        given += wanted.statuses
    if wanted.tag is not None:
        where.append(
            "EXISTS (SELECT 1 FROM tag g WHERE g.plan_id = task.plan_id"
            " AND g.task_id = task.task_id AND g.tag = ?)"
        )
        given.append(wanted.tag)
    if wanted.words:
        where.append(f"holds_all({_TEXT}, ?)")
        given.append("\n".join(wanted.words))
    return where, given


def _all(where: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(where)}" if where else ""


def _number(name: str) -> int:
    return int(name[2:])


def holds_all(text: str, words: str) -> bool:
    """Whether a text has each of some folded words, one a line: a function of the database."""
    told = text.casefold()
    return all(word in told for word in words.split("\n"))
