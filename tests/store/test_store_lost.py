"""A file that is deleted or replaced while it is open is noticed; old programs go on beside new."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.store.migrations import NUMBERS, statements
from flow_kernel.store.sqlite import SqliteStore
from tests.store.stores import (
    START,
    context_of,
    outputs_of,
    put_task,
    put_value,
    read_line,
    start,
    verdict_of_sqlite,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "flow.db")
    put_task(store)
    put_value(store, "k", b"1")
    yield store
    store.close()


def test_a_file_that_was_deleted_while_open_is_told_once_and_then_made_anew(
    store: SqliteStore, tmp_path: Path
) -> None:
    for path in tmp_path.glob("flow.db*"):
        path.unlink()
    with pytest.raises(StoreError, match=r"flow\.db was deleted .*nothing was changed"):
        put_value(store, "k", b"2")
    assert not (tmp_path / "flow.db").exists()
    assert context_of(store) == {}


@pytest.mark.parametrize("use", ["read", "write", "version"])
def test_a_file_that_was_replaced_while_open_is_read_from_then_on(
    store: SqliteStore, tmp_path: Path, use: str
) -> None:
    (tmp_path / "new").mkdir()
    other = SqliteStore(tmp_path / "new" / "flow.db")
    put_value(other, "k", b'"new"')
    other.close()
    version = store.version()
    (tmp_path / "new" / "flow.db").replace(tmp_path / "flow.db")
    for part in ("-wal", "-shm"):
        (tmp_path / f"flow.db{part}").rename(tmp_path / f"old{part}")

    if use == "write":
        put_value(store, "l", b"2")
    elif use == "version":
        assert store.version() != version
    assert context_of(store)["k"] == "new"
    store.close()
    assert verdict_of_sqlite(tmp_path / "flow.db") == "ok"


def test_who_lets_go_of_a_replaced_file_harms_nobody_who_writes_the_new_one(
    store: SqliteStore, tmp_path: Path
) -> None:
    """At its end SQLite deletes the log beside a file, by its name: here that of another one."""
    program = "put(b'0')\nprint('open', flush=True)\nsys.stdin.readline()\nput(b'1')\n"
    for path in [*tmp_path.glob("flow.db*")]:
        path.rename(tmp_path / f"old{path.name}")
    writer = start("-c", START + program, tmp_path)
    assert read_line(writer) == b"open"
    assert (tmp_path / "flow.db-wal").exists()

    store.close()

    assert (tmp_path / "flow.db-wal").exists()
    outputs_of([writer], said=b"\n")
    assert context_of(SqliteStore(tmp_path / "flow.db"))["k"] == 1


def test_a_program_of_an_older_version_goes_on_beside_a_newer_one(tmp_path: Path) -> None:
    """It opened the file before; what it writes is not lost, nor what the newer one does."""
    path = tmp_path / "flow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode=WAL")
        for statement in statements(NUMBERS[0]):
            old.execute(statement)
        old.execute("PRAGMA user_version=1")
        note = (
            "INSERT INTO outbox (kind, plan_id, task_id, key, at, fields) VALUES"
            " ('context', 'local', 'T-0001', 'k', '', '{\"key\":\"k\",\"value\":1,"
            '"is_set":true,"author":"old"}\')'
        )
        old.execute(note)
        store = SqliteStore(path)
        put_value(store, "k", b"2")
        old.execute(note)
        with store.write() as change:
            assert [row.value for row in change.context_history("local", "T-0001", "k")] == [
                1,
                2,
                1,
            ]
            waiting = change.waiting(limit=9)
        assert {(row.store_id, row.number) for row in waiting} == {("", 1), ("", 2), ("", 3)}
        store.close()
    assert (tmp_path / "flow.db.v1.bak").exists()
    assert verdict_of_sqlite(path) == "ok"
