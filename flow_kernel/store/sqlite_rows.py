"""The statements of one transaction on the SQLite store.

Built by `sqlite`, which begins and ends the transaction.

Values of the context are stored as JSON text in one form (no blanks, UTF-8, keys sorted), so equal
values are equal texts.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Final

import orjson

from flow_kernel.records.names import ADHOC_TASK
from flow_kernel.store.approvals_sql import ApprovalStatements
from flow_kernel.store.contract import Change, ContextValue, PlanRow, StepRow, TaskRow, Use
from flow_kernel.store.pages_sql import PageStatements
from flow_kernel.store.runs_sql import RunStatements
from flow_kernel.store.upsert import upsert

_TASK_FIELDS: Final = tuple(f.name for f in fields(TaskRow))
_STEP_FIELDS: Final = tuple(f.name for f in fields(StepRow))
_TASK_COLUMNS: Final = ", ".join(_TASK_FIELDS)
_STEP_COLUMNS: Final = ", ".join(_STEP_FIELDS)


_PUT_TASK: Final = upsert("task", _TASK_FIELDS, ("plan_id", "task_id"))
_PUT_STEP: Final = upsert("step", _STEP_FIELDS, ("plan_id", "task_id", "number"))
_PUT_CONTEXT: Final = upsert(
    "context_item",
    ("plan_id", "task_id", "key", "value", "author", "updated_at"),
    ("plan_id", "task_id", "key"),
)
_NOTE: Final = (
    "INSERT INTO outbox (kind, plan_id, task_id, key, at, fields) VALUES (?, ?, ?, ?, ?, ?)"
)
# 6 ms. An index by key would make each update of the context a third slower.
_LOOKED_THROUGH: Final = 50_000
_SELECT_TASK: Final = f"SELECT {_TASK_COLUMNS} FROM task"  # noqa: S608 - our own names
_SELECT_STEP: Final = (
    f"SELECT {_STEP_COLUMNS} FROM step"  # noqa: S608 - our own names
    " WHERE plan_id = ? AND task_id = ? ORDER BY number"
)
_JOINED: Final = f"SELECT {', '.join(f't.{name}' for name in _TASK_FIELDS)} FROM task t"  # noqa: S608 - our own names


class SqliteTransaction(ApprovalStatements, RunStatements, PageStatements):
    """Reads and writes inside one transaction; see `contract.Reading` and `contract.Writing`."""

    __slots__ = ("_run",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._run = connection.execute

    # -- asking ------------------------------------------------------------------------------------

    def plans(self) -> list[PlanRow]:
        """The plans by name."""
        rows = self._run(
            "SELECT t.plan_id, COALESCE(p.created_at,"
            " (SELECT MIN(o.created_at) FROM task o WHERE o.plan_id = t.plan_id)), t.tasks, t.open"
            " FROM (SELECT plan_id, COUNT(*) AS tasks,"
            " SUM(CASE WHEN status IN ('todo', 'doing', 'waiting') THEN 1 ELSE 0 END) AS open"
            " FROM task GROUP BY plan_id) t LEFT JOIN plan p ON p.plan_id = t.plan_id"
            " ORDER BY t.plan_id"
        )
        return [PlanRow(*row) for row in rows]

    def task(self, plan_id: str, task_id: str) -> TaskRow | None:
        """One task."""
        found = self._run(f"{_SELECT_TASK} WHERE plan_id = ? AND task_id = ?", (plan_id, task_id))
        return next(_tasks(found), None)

    def has_task(self, plan_id: str, task_id: str) -> bool:
        """True when there is such a task; cheaper than `task`."""
        query = "SELECT 1 FROM task WHERE plan_id = ? AND task_id = ?"
        return self._run(query, (plan_id, task_id)).fetchone() is not None

    def tasks(self, plan_id: str | None = None, *, status: str | None = None) -> list[TaskRow]:
        """Tasks in the order of plan and id; None means any."""
        wanted = {"plan_id": plan_id, "status": status}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given)
        query = f"{_SELECT_TASK}{f' WHERE {where}' if where else ''} ORDER BY plan_id, task_id"
        return [*_tasks(self._run(query, tuple(given.values())))]

    def steps(self, plan_id: str, task_id: str) -> list[StepRow]:
        """The steps of a task by number."""
        rows = self._run(_SELECT_STEP, (plan_id, task_id))
        found = (dict(zip(_STEP_FIELDS, row, strict=True)) for row in rows)
        return [StepRow(**{**row, "is_planned": bool(row["is_planned"])}) for row in found]

    def context(self, plan_id: str, task_id: str) -> dict[str, object]:
        """The merged context of a task, its keys sorted."""
        rows = self._run(
            "SELECT key, value FROM context_item WHERE plan_id = ? AND task_id = ? ORDER BY key",
            (plan_id, task_id),
        )
        return {key: orjson.loads(value) for key, value in rows}

    def context_history(self, plan_id: str, task_id: str, key: str) -> list[ContextValue]:
        """What a key held, oldest first."""
        rows = self._run(
            "SELECT at, fields FROM outbox WHERE plan_id = ? AND task_id = ? AND key = ?"
            " ORDER BY number",
            (plan_id, task_id, key),
        )
        return [_context_value(task_id, at, orjson.loads(said)) for at, said in rows]

    def uses_of(self, key: str, *, limit: int) -> list[Use]:
        """The last uses of a key among the newest changes; see `contract.Reading.uses_of`."""
        rows = self._run(
            "SELECT fields, plan_id, task_id FROM outbox"
            " WHERE number > (SELECT MAX(number) FROM outbox) - ? AND key = ?"
            " ORDER BY number DESC LIMIT ?",
            (_LOOKED_THROUGH, key, limit),
        )
        return [
            Use(orjson.dumps(said["value"]).decode(), plan_id, task_id)
            for fields_, plan_id, task_id in rows
            if (said := orjson.loads(fields_))["is_set"] and not said.get("redacted")
        ]

    def tasks_with(self, key: str, value: object) -> list[TaskRow]:
        """Tasks whose context holds this value under this key."""
        query = (
            f"{_JOINED} JOIN context_item c ON c.plan_id = t.plan_id AND c.task_id = t.task_id"
            " WHERE c.key = ? AND c.value = ? ORDER BY t.plan_id, t.task_id"
        )
        said = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        return [*_tasks(self._run(query, (key, said)))]

    def tags(self, plan_id: str, task_id: str) -> list[str]:
        """The tags of a task, sorted."""
        query = "SELECT tag FROM tag WHERE plan_id = ? AND task_id = ? ORDER BY tag"
        return [tag for (tag,) in self._run(query, (plan_id, task_id))]

    def tasks_tagged(self, tag: str) -> list[TaskRow]:
        """Tasks that carry a tag."""
        query = (
            f"{_JOINED} JOIN tag g ON g.plan_id = t.plan_id AND g.task_id = t.task_id"
            " WHERE g.tag = ? ORDER BY t.plan_id, t.task_id"
        )
        return [*_tasks(self._run(query, (tag,)))]

    def resumable(self, notebook: str) -> tuple[str, str] | None:
        """Plan and id of the task that was open in a notebook when its kernel ended."""
        query = "SELECT plan_id, task_id FROM resumable WHERE notebook = ?"
        found: tuple[str, str] | None = self._run(query, (notebook,)).fetchone()
        return found

    def newest(self) -> int:
        """The number of the last change; 0 before the first."""
        return int(self._run("SELECT COALESCE(MAX(number), 0) FROM outbox").fetchone()[0])

    def lives(self) -> list[str]:
        """The id of this store, and after it those of the stores that it was made from."""
        return [name for (name,) in self._run("SELECT store_id FROM life ORDER BY is_own DESC")]

    def waiting(self, *, limit: int) -> list[Change]:
        """Rows of the outbox that were not yet carried into a log, oldest first."""
        rows = self._run(
            "SELECT number, kind, plan_id, task_id, at, fields,"
            " (SELECT store_id FROM life ORDER BY is_own DESC LIMIT 1) FROM outbox"
            " WHERE number > (SELECT number FROM carried WHERE id = 1) ORDER BY number LIMIT ?",
            (limit,),
        ).fetchall()
        return [
            Change(
                number=number,
                kind=kind,
                plan_id=plan_id,
                task_id=task_id,
                at=at,
                fields=orjson.loads(said),
                store_id=store_id,
            )
            for number, kind, plan_id, task_id, at, said, store_id in rows
        ]

    # -- changing ----------------------------------------------------------------------------------

    def new_task_id(self, plan_id: str) -> str:
        """The next free id of a plan, which is made when it is new."""
        is_new = self._make_plan(plan_id)
        made = self._run(
            "UPDATE plan SET last_task = last_task + 1 WHERE plan_id = ? RETURNING last_task",
            (plan_id,),
        )
        task_id = f"T-{made.fetchone()[0]:04d}"
        if is_new:
            self._note_plan(plan_id, task_id)
        return task_id

    def reserve_task_id(self, plan_id: str, task_id: str) -> None:
        """Never give out the id, nor any before it, as a new one."""
        if self._make_plan(plan_id):
            self._note_plan(plan_id, task_id)
        number = int(task_id.removeprefix("T-"))
        self._run(
            "UPDATE plan SET last_task = ? WHERE plan_id = ? AND last_task < ?",
            (number, plan_id, number),
        )

    def reserve_approval_id(self, approval_id: str) -> None:
        """Never give out the id, nor any before it, as a new one."""
        number = int(approval_id.removeprefix("A-"))
        self._run("INSERT INTO counter (letter, last) VALUES ('A', 0) ON CONFLICT DO NOTHING")
        self._run("UPDATE counter SET last = ? WHERE letter = 'A' AND last < ?", (number, number))

    def put_task(self, task: TaskRow, *, at: str) -> None:
        """Insert or replace a task, and note it in the outbox."""
        said = asdict(task)
        self._run(_PUT_TASK, tuple(said.values()))
        self.note("task", said.pop("plan_id"), said.pop("task_id"), at, said)

    def put_step(self, step: StepRow, *, at: str) -> None:
        """Insert or replace a step, and note it in the outbox."""
        said = asdict(step)
        self._run(_PUT_STEP, tuple(said.values()))
        self.note("step", said.pop("plan_id"), said.pop("task_id"), at, said)

    def put_context(
        self, plan_id: str, task_id: str, values: Mapping[str, bytes], *, author: str, at: str
    ) -> None:
        """Set keys to values given as JSON, each noted in the outbox."""
        for key, value in values.items():
            self._run(_PUT_CONTEXT, (plan_id, task_id, key, value.decode(), author, at))
            said = {"key": key, "value": orjson.Fragment(value), "is_set": True, "author": author}
            self._note_key(plan_id, task_id, key, at, said)

    def remove_context(
        self, plan_id: str, task_id: str, keys: Sequence[str], *, author: str, at: str
    ) -> None:
        """Remove keys, each noted in the outbox."""
        for key in keys:
            self._run(
                "DELETE FROM context_item WHERE plan_id = ? AND task_id = ? AND key = ?",
                (plan_id, task_id, key),
            )
            said = {"key": key, "value": None, "is_set": False, "author": author}
            self._note_key(plan_id, task_id, key, at, said)

    def put_tag(self, plan_id: str, task_id: str, tag: str, *, is_set: bool, at: str) -> None:
        """Add or remove a tag, and note it in the outbox."""
        self._run(
            "INSERT INTO tag (plan_id, task_id, tag) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            if is_set
            else "DELETE FROM tag WHERE plan_id = ? AND task_id = ? AND tag = ?",
            (plan_id, task_id, tag),
        )
        self.note("tag", plan_id, task_id, at, {"tag": tag, "is_set": is_set})

    def put_resumable(self, notebook: str, plan_id: str, task_id: str | None) -> None:
        """Remember which task is open in a notebook; None forgets it."""
        before = self.resumable(notebook)
        after = None if task_id is None else (plan_id, task_id)
        if before == after:
            return
        said = {"notebook": notebook, "is_open": after is not None}
        self.note("plan", *(after or before or (plan_id, ADHOC_TASK)), self._now(), said)
        if task_id is None:
            self._run("DELETE FROM resumable WHERE notebook = ?", (notebook,))
            return
        self._run(
            upsert("resumable", ("notebook", "plan_id", "task_id"), ("notebook",)),
            (notebook, plan_id, task_id),
        )

    def note(self, kind: str, plan_id: str, task_id: str, at: str, fields: object) -> int:
        """Add a row to the outbox. Returns its number."""
        said = orjson.dumps(fields).decode()
        return int(self._run(_NOTE, (kind, plan_id, task_id, None, at, said)).lastrowid or 0)

    def carried(self, number: int) -> None:
        """All rows up to this one are in the logs."""
        self._run("UPDATE carried SET number = ? WHERE id = 1", (number,))

    def _make_plan(self, plan_id: str) -> bool:
        return bool(
            self._run(
                "INSERT INTO plan (plan_id, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (plan_id, self._now()),
            ).rowcount
        )

    def _note_plan(self, plan_id: str, task_id: str) -> None:
        """In the log of its first task."""
        query = "SELECT created_at FROM plan WHERE plan_id = ?"
        (at,) = self._run(query, (plan_id,)).fetchone()
        self.note("plan", plan_id, task_id, at, {"created_at": at})

    def _now(self) -> str:
        return str(self._run("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()[0])

    def _note_key(self, plan_id: str, task_id: str, key: str, at: str, said: object) -> None:
        self._run(_NOTE, ("context", plan_id, task_id, key, at, orjson.dumps(said).decode()))


def _tasks(rows: Iterable[tuple[str, ...]]) -> Iterator[TaskRow]:
    return (TaskRow(**dict(zip(_TASK_FIELDS, row, strict=True))) for row in rows)


def _context_value(task_id: str, at: str, said: dict[str, object]) -> ContextValue:
    return ContextValue(
        task_id=task_id,
        key=str(said["key"]),
        value=said["value"],
        is_set=bool(said["is_set"]),
        author=str(said["author"]),
        at=at,
    )
