"""A new SQLite file that holds a rebuilt state.

Called by `session.store_repair`, which then gives the file its name.
"""

import os
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import orjson

from flow_kernel.errors import StoreError
from flow_kernel.store.contract import Change
from flow_kernel.store.rebuild import WAS, State
from flow_kernel.store.sqlite_file import open_file
from flow_kernel.store.sqlite_rows import SqliteTransaction

_PUT_CHANGE: Final = (
    "INSERT INTO outbox (number, kind, plan_id, task_id, key, at, fields)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def fill(
    path: Path,
    state: State,
    *,
    logged: Collection[tuple[str, int]],
    lives: Collection[str],
    last_tasks: Mapping[str, int],
    last_approval: int,
) -> None:
    """Make `path`; it is on the disk, with nothing beside it, when this returns.

    Args:
        path: A name that nothing has yet.
        state: What the store is to hold.
        logged: Store and number of the changes that are in the logs already.
        lives: Ids of the stores that it is made from.
        last_tasks: The last number of a task that was ever given out, by plan.
        last_approval: The last number of an approval that was ever given out.

    Raises:
        StoreError: The disk refuses.
    """
    try:
        with closing(open_file(path, is_network=True, wait_s=1.0).connection) as connection:
            connection.execute("BEGIN IMMEDIATE")
            _put_rows(connection, state)
            _put_history(connection, state, logged)
            _count_on(connection, last_tasks, last_approval)
            connection.executemany(
                "INSERT OR IGNORE INTO life (store_id, is_own) VALUES (?, 0)",
                [(store_id,) for store_id in lives],
            )
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"cannot write {path} ({error}); nothing was changed") from error
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _put_rows(connection: sqlite3.Connection, state: State) -> None:
    change = SqliteTransaction(connection)
    connection.executemany(
        "INSERT INTO plan (plan_id, created_at) VALUES (?, ?)", [*state.plans.items()]
    )
    for task in state.tasks.values():
        change.put_task(task, at="")
        change.reserve_task_id(task.plan_id, task.task_id)
    for step in state.steps.values():
        change.put_step(step, at="")
    for place, values in state.context.items():
        for key, (value, author, at) in values.items():
            said = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
            change.put_context(*place, {key: said}, author=author, at=at)
    for place, tags in state.tags.items():
        for tag in tags:
            change.put_tag(*place, tag, is_set=True, at="")
    for approval in state.approvals.values():
        change.put_approval(approval, at="")
        change.reserve_approval_id(approval.approval_id)
    for notebook, place in state.resumable.items():
        change.put_resumable(notebook, *place)
    _put_runs(change, state)


def _put_runs(change: SqliteTransaction, state: State) -> None:
    for run in state.runs.values():
        change.put_run(run, at="")
        change.reserve_run_id(run.run_id)
    for step in state.run_steps.values():
        change.put_run_step(step, state.runs[step.run_id], at="")


def _put_history(
    connection: sqlite3.Connection, state: State, logged: Collection[tuple[str, int]]
) -> None:
    """The changes as they were made, those that are in no log last, and what was decided now."""
    connection.execute("DELETE FROM outbox")
    told = [change for change in state.history if (change.store_id, change.number) in logged]
    untold = [change for change in state.history if (change.store_id, change.number) not in logged]
    connection.executemany(
        _PUT_CHANGE,
        [_outbox_row(number, _named(change)) for number, change in enumerate(told, 1)],
    )
    connection.executemany(
        _PUT_CHANGE,
        [_outbox_row(number, change) for number, change in enumerate(untold, len(told) + 1)],
    )
    change = SqliteTransaction(connection)
    change.carried(len(told))
    (at,) = connection.execute("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')").fetchone()
    for number, decided in enumerate(state.decided, len(told) + len(untold) + 1):
        connection.execute(_PUT_CHANGE, _outbox_row(number, replace(decided, at=decided.at or at)))


def _named(change: Change) -> Change:
    """With its old number, by which it is known again should this store be damaged, too."""
    return replace(change, fields={**change.fields, WAS: [change.store_id, change.number]})


def _outbox_row(number: int, change: Change) -> tuple[object, ...]:
    key = change.fields.get("key") if change.kind == "context" else None
    said = orjson.dumps(change.fields).decode()
    return (number, change.kind, change.plan_id, change.task_id, key, change.at, said)


def _count_on(
    connection: sqlite3.Connection, last_tasks: Mapping[str, int], last_approval: int
) -> None:
    for plan_id, last in last_tasks.items():
        connection.execute(
            "INSERT INTO plan (plan_id, created_at, last_task) VALUES (?, '', ?)"
            " ON CONFLICT (plan_id) DO UPDATE SET last_task = MAX(last_task, excluded.last_task)",
            (plan_id, last),
        )
    SqliteTransaction(connection).reserve_approval_id(f"A-{last_approval}")
