"""Files that cannot be used, or not in full: each is named, none is made worse."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flow_kernel.errors import StoreDamaged, StoreError, StoreTooNew
from flow_kernel.store.sqlite import SqliteStore
from flow_kernel.store.sqlite_file import VERSION
from tests.mounting import NAMESPACE
from tests.records.journals import run_python
from tests.store.stores import (
    START,
    WAIT_S,
    context_of,
    files_in,
    put_task,
    put_value,
    start,
)

# -- newer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_network", [False, True])
def test_a_file_of_a_newer_version_is_refused_and_untouched(
    tmp_path: Path, is_network: bool
) -> None:
    path = _filled(tmp_path, is_network=is_network)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    before = files_in(tmp_path)

    store = SqliteStore(path, is_network=is_network)
    for use in _uses(store):
        with pytest.raises(StoreTooNew, match=rf"flow\.db .*version 99 .*knows {VERSION}") as told:
            use()
        assert told.value.exit_code == 4
    store.close()
    assert files_in(tmp_path) == before
    assert [*before] == ["flow.db"]


def test_a_newer_version_is_seen_where_only_the_log_beside_the_file_says_so(
    tmp_path: Path,
) -> None:
    """Its process was killed before the file itself was written."""
    path = _filled(tmp_path)
    run_python(
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('PRAGMA user_version=99')\n"
        "connection.commit()\n"
        "os._exit(0)",
        path,
    )
    before = files_in(tmp_path)

    for use in _uses(SqliteStore(path)):
        with pytest.raises(StoreTooNew, match="version 99"):
            use()
    after = files_in(tmp_path)
    # What lies in the third file is an index of the second that any reader makes anew.
    assert [*after] == [*before] == ["flow.db", "flow.db-shm", "flow.db-wal"]
    assert (after["flow.db"], after["flow.db-wal"]) == (before["flow.db"], before["flow.db-wal"])


# -- damaged -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database, " * 400,
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + bytes(len(data) - 100),
        lambda data: b"X" + data[1:],
    ],
    ids=["overwritten", "cut in half", "zeros", "one byte of its name"],
)
def test_a_damaged_file_is_named_and_never_overwritten(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = _filled(tmp_path)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)

    store = SqliteStore(path)
    for use in _uses(store)[:3]:
        with pytest.raises(StoreDamaged, match=r"flow\.db is damaged .*check --repair"):
            use()
    assert [sentence.partition(" (")[0] for sentence in store.check()] == [f"{path} is damaged"]
    store.close()
    assert path.read_bytes() == damaged


def test_damage_inside_a_file_is_told_by_its_check(tmp_path: Path) -> None:
    path = _filled(tmp_path, values=300)
    data = bytearray(path.read_bytes())
    # The last page belongs to one of the big tables.
    data[-2000:] = b"\xa5" * 2000
    path.write_bytes(data)

    store = SqliteStore(path)
    found = store.check()
    store.close()
    assert found
    assert all(type(sentence) is str and sentence for sentence in found)


# -- read-only -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_killed", [False, True], ids=["closed in order", "killed"])
def test_a_file_that_can_only_be_read_is_read_and_says_so_when_written(
    mounts: Path, is_killed: bool
) -> None:
    """On a file system that is mounted read-only, which binds root, too."""
    program = """
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root], check=True)
pid = os.fork()
if not pid:
    put(b"1")
    if sys.argv[2] == "False":
        store.close()
    os._exit(0)
os.waitpid(pid, 0)
subprocess.run(["mount", "-o", "remount,ro", root], check=True)
before = sorted(os.listdir(root))
assert get() == {"k": 1}
told = refused(put, b"2")
assert told == f"StoreError: {root}/flow.db cannot be written; nothing was changed", told
assert get() == {"k": 1}
assert store.check() == []
store.close()
assert sorted(os.listdir(root)) == before
"""
    run_python(START + program, mounts, is_killed, under=NAMESPACE)


def test_what_another_writes_is_seen_where_the_file_can_only_be_read(mounts: Path) -> None:
    """The same files, mounted twice: once for the owner, once for those who may only read."""
    program = """
here, there = root / "here", root / "there"
for folder in (here, there):
    folder.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", here], check=True)
owner = SqliteStore(here / "flow.db")
put(b"0", owner)
owner.close()
subprocess.run(["mount", "--bind", here, there], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", there], check=True)
reader = SqliteStore(there / "flow.db")
for n in range(1, 60):
    assert get(reader)["k"] == n - 1
    put(b"%d" % n, owner)
    for m in range(20):
        add(1000 * m + n, owner)
    if n % 2:
        owner.close()
assert "cannot be written" in refused(put, b"0", reader)
reader.close()
owner.close()
"""
    run_python(START + program, mounts, under=NAMESPACE)


@pytest.mark.parametrize("name", ["flow.db", "folder/flow.db"])
def test_a_file_that_cannot_be_made_is_named(mounts: Path, name: str) -> None:
    program = """
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", root], check=True)
told = refused(get, SqliteStore(root / sys.argv[2]))
assert told == f"StoreError: cannot make {root / sys.argv[2]} (Read-only file system)", told
"""
    run_python(START + program, mounts, name, under=NAMESPACE)


def test_a_folder_in_the_place_of_the_file_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "flow.db").mkdir()
    for use in _uses(SqliteStore(tmp_path / "flow.db")):
        with pytest.raises(StoreError, match=r"flow\.db"):
            use()


# -- full ----------------------------------------------------------------------------------------


def test_a_full_disk_loses_nothing_that_was_acknowledged(mounts: Path) -> None:
    program = """
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", root], check=True)
put(b"0")
ballast = root / "ballast"
with ballast.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass
os.truncate(ballast, ballast.stat().st_size // 4096 * 4096 - 200_000)
value = b'"' + b"x" * 3000 + b'"'
n = 0
while not (told := refused(put, value)):
    n += 1
    value = b'"%d ' % n + b"x" * 3000 + b'"'
assert n > 3, n
assert told == f"StoreError: the disk of {root}/flow.db is full; nothing was changed", told
assert get()["k"].startswith(f"{n - 1} "), get()["k"][:9]
assert refused(put, value) == told
assert store.check() == []
other = SqliteStore(root / "flow.db")
assert get(other) == get()
ballast.unlink()
put(b"1")
assert get(other) == {"k": 1}
other.close()
store.close()
"""
    run_python(START + program, mounts, under=NAMESPACE)


# -- locked --------------------------------------------------------------------------------------


def test_a_stopped_writer_keeps_the_others_waiting_and_they_say_so(tmp_path: Path) -> None:
    path = _filled(tmp_path)
    holder = start(
        "-c",
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n",
        path,
    )
    assert os.WIFSTOPPED(os.waitpid(holder.pid, os.WUNTRACED)[1])
    store = SqliteStore(path, wait_s=0.05)
    try:
        with pytest.raises(StoreError, match=r"another process keeps .* locked; nothing was"):
            put_value(store, "k", b"2")
        assert context_of(store)["k0"] == 0
    finally:
        holder.send_signal(signal.SIGCONT)
        holder.communicate(timeout=WAIT_S)
    put_value(store, "k", b"2")
    assert context_of(store)["k"] == 2
    store.close()


def test_a_signal_is_handled_while_a_write_waits_for_its_turn(tmp_path: Path) -> None:
    """So a cell that waits can be interrupted: here its handler ends what it waits for."""
    path = _filled(tmp_path)
    store = SqliteStore(path, wait_s=WAIT_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as rival:
        assert context_of(store)["k0"] == 0
        rival.execute("BEGIN IMMEDIATE")
        before = signal.signal(signal.SIGALRM, lambda *_: rival.execute("COMMIT"))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        try:
            put_value(store, "k", b"2")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    assert context_of(store)["k"] == 2
    store.close()


# -- inside ----------------------------------------------------------------------------------------


def _filled(folder: Path, *, values: int = 1, is_network: bool = False) -> Path:
    """A file with a task and values, closed in order."""
    store = SqliteStore(folder / "flow.db", is_network=is_network)
    put_task(store)
    for n in range(values):
        put_value(store, f"k{n}", b"%d" % n)
    store.close()
    return folder / "flow.db"


def _uses(store: SqliteStore) -> list[Callable[[], object]]:
    return [
        lambda: context_of(store),
        lambda: put_value(store, "k", b"1"),
        store.version,
        store.check,
    ]


def test_a_process_that_died_as_it_made_the_file_leaves_a_store_that_opens(tmp_path: Path) -> None:
    """It writes without a write-ahead log until that is chosen, and leaves what it had begun."""
    path = tmp_path / "flow.db"
    run_python(
        "import os, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('PRAGMA cache_size=1')\n"
        "connection.execute('CREATE TABLE early (x)')\n"
        "connection.execute('BEGIN')\n"
        "for _ in range(50):\n"
        "    connection.execute('INSERT INTO early VALUES (randomblob(1000))')\n"
        "os._exit(0)",
        path,
    )
    assert "flow.db-journal" in files_in(tmp_path)

    store = SqliteStore(path)
    with store.read() as view:
        found = view.runs()
    store.close()

    assert found == []
