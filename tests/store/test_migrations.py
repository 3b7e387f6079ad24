"""Files of older versions are brought up to date: once, with a backup, or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.store import migrations
from flow_kernel.store.migrations import NAMES, NUMBERS, statements
from flow_kernel.store.sqlite import SqliteStore
from flow_kernel.store.sqlite_file import VERSION
from tests.store.stores import context_of, outputs_of, put_value, start, verdict_of_sqlite

_OPENER = """
import sys
from pathlib import Path
from flow_kernel.store.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
with store.write() as change:
    change.note("step", "local", "T-0001", "", {})
store.close()
"""


def test_the_numbered_files_are_the_migrations_and_no_other() -> None:
    folder = Path(migrations.__file__).parent
    assert tuple(sorted(path.stem for path in folder.glob("*.sql"))) == NAMES
    assert [*NUMBERS] == sorted({int(name[:4]) for name in NAMES})
    assert NUMBERS[-1] == VERSION
    assert all(statements(number) for number in NUMBERS)


def test_a_new_file_has_the_newest_version_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "home" / "flow.db"
    store = SqliteStore(path)
    put_value(store, "k", b"1")
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    store.close()

    assert _version(path) == VERSION
    assert modes == {"flow.db": 0o600, "flow.db-wal": 0o600, "flow.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["flow.db"]


@pytest.mark.parametrize("version", NUMBERS[:-1])
def test_an_older_file_keeps_its_rows_and_a_backup_of_what_it_was(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "flow.db"
    _make(path, version)
    before = _rows(path)

    store = SqliteStore(path)
    assert context_of(store) == {"k": 1}
    assert store.check() == []
    put_value(store, "k", b"2")
    store.close()

    backup = tmp_path / f"flow.db.v{version}.bak"
    assert _version(path) == VERSION
    assert (_version(backup), _rows(backup)) == (version, before)
    assert backup.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["flow.db", backup.name]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    _make(path, 1, "CREATE TABLE approval (of_another TEXT)")
    before = _rows(path)

    for _ in range(2):
        with pytest.raises(StoreError, match="approval already exists"):
            context_of(SqliteStore(path))
    assert (_version(path), _rows(path)) == (1, before)
    assert _version(tmp_path / "flow.db.v1.bak") == 1


def test_a_file_that_was_made_but_never_filled_is_filled(tmp_path: Path) -> None:
    """A kill between the two leaves that."""
    (tmp_path / "flow.db").touch(0o600)
    store = SqliteStore(tmp_path / "flow.db")
    put_value(store, "k", b"1")
    store.close()
    assert _version(tmp_path / "flow.db") == VERSION


@pytest.mark.parametrize("version", [0, 1])
def test_processes_that_open_it_at_the_same_moment_migrate_it_once(
    tmp_path: Path, version: int
) -> None:
    """Six processes, five times: from nothing, and from an older version."""
    paths = [tmp_path / str(n) / "flow.db" for n in range(5)]
    for path in paths:
        path.parent.mkdir()
        if version:
            _make(path, version)
        processes = [start("-c", _OPENER, path) for _ in range(6)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        outputs_of(processes, said=b"go\n")
        assert _version(path) == VERSION
        assert verdict_of_sqlite(path) == "ok"
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT COUNT(*) FROM outbox").fetchone() == (6 + version,)
        kept = [file.name for file in path.parent.iterdir() if file.name != "flow.db"]
        assert kept == ["flow.db.v1.bak"] * version


def _make(path: Path, version: int, *more: str) -> None:
    """A file as that version left it, with one task, a value of its context, and one change."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        for number in (number for number in NUMBERS if number <= version):
            for statement in statements(number):
                connection.execute(statement)
        connection.execute(
            "INSERT INTO task VALUES ('local', 'T-0001', 'n', '', 'custom', 'doing', '', NULL, '',"
            " '', NULL, NULL)"
        )
        connection.execute(
            "INSERT INTO context_item VALUES ('local', 'T-0001', 'k', '1', 'ann', '')"
        )
        connection.execute(
            "INSERT INTO outbox (kind, plan_id, task_id, at, fields)"
            " VALUES ('step', 'local', 'T-0001', '', '{}')"
        )
        for statement in more:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={version}")
        connection.commit()


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _rows(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump()]
