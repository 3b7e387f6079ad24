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
from tests.records.journals import run_python
from tests.store.stores import (
    NAMESPACE,
    WAIT_S,
    context_of,
    files_in,
    outputs_of,
    put_task,
    put_value,
    start,
)

_START = """
import os, subprocess, sys, threading
from pathlib import Path
from flow_kernel.errors import FlowError
from flow_kernel.store.sqlite import SqliteStore
root = Path(sys.argv[1])
store = SqliteStore(root / "flow.db", wait_s=10)
def put(value, store=store):
    with store.write() as change:
        change.put_context("local", "T-0001", {"k": value}, author="ann", at="")
def get(store=store):
    with store.read() as view:
        return view.context("local", "T-0001")
def add(n, store=store):
    with store.write() as change:
        change.put_context("local", "T-0001", {f"k{n:04}": b"%d" % n}, author="ann", at="")
def refused(action, *arguments):
    try:
        action(*arguments)
    except FlowError as error:
        return f"{type(error).__name__}: {error}"
"""


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
    run_python(_START + program, mounts, is_killed, under=NAMESPACE)


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
    run_python(_START + program, mounts, under=NAMESPACE)


@pytest.mark.parametrize("name", ["flow.db", "folder/flow.db"])
def test_a_file_that_cannot_be_made_is_named(mounts: Path, name: str) -> None:
    program = """
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", root], check=True)
told = refused(get, SqliteStore(root / sys.argv[2]))
assert told == f"StoreError: cannot make {root / sys.argv[2]} (Read-only file system)", told
"""
    run_python(_START + program, mounts, name, under=NAMESPACE)


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
    run_python(_START + program, mounts, under=NAMESPACE)


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


# -- several handles, and forks --------------------------------------------------------------------


def test_a_second_handle_in_a_process_costs_the_first_no_update(tmp_path: Path) -> None:
    """Locks of a file end when the process closes any descriptor of it.

    Another process then takes the log beside the file away, and updates go into a deleted file.
    """
    first, second = (SqliteStore(tmp_path / "flow.db") for _ in range(2))
    put_value(first, "k0", b"0")
    for n in range(1, 4):
        assert len(context_of(second)) == 2 * n - 1
        second.close()
        run_python(_START + "add(int(sys.argv[2]))\nstore.close()", tmp_path, 1000 + n)
        put_value(first, f"k{n}", b"%d" % n)
    first.close()
    assert sorted(context_of(second)) == ["k0", "k1", "k1001", "k1002", "k1003", "k2", "k3"]
    second.close()


def test_a_forked_child_and_its_parent_lose_nothing_of_each_other(tmp_path: Path) -> None:
    """The child has a connection and locks of its own, even when the parent closes its."""
    program = """
add(0)
read, write = os.pipe()
pid = os.fork()
if not pid:
    add(1)
    os.read(read, 1)
    add(2)
    store.close()
    os._exit(0)
while "k0001" not in get():
    pass
store.close()
os.write(write, b"x")
add(3)
store.close()
assert os.waitpid(pid, 0)[1] == 0
assert sorted(get()) == ["k0000", "k0001", "k0002", "k0003"], get()
assert store.check() == []
store.close()
"""
    run_python(_START + program, tmp_path)


def test_children_that_are_forked_while_threads_write_can_write_too(tmp_path: Path) -> None:
    """No child inherits a lock that nobody releases, or half a transaction."""
    program = """
add(0)
is_over = threading.Event()
counts = [0, 0]
def work(thread):
    while not is_over.is_set():
        add(1000 * (thread + 1) + counts[thread] % 1000)
        counts[thread] += 1
threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
for thread in threads:
    thread.start()
for n in range(1, 31):
    pid = os.fork()
    if not pid:
        try:
            add(n)
            store.close()
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
is_over.set()
for thread in threads:
    thread.join()
found = get()
assert [n for n in range(31) if f"k{n:04}" not in found] == []
assert all(f"k{1000 * (n + 1) + count % 1000:04}" in found for n in range(2)
           for count in range(counts[n]))
assert store.check() == []
store.close()
"""
    run_python("import warnings; warnings.simplefilter('ignore')\n" + _START + program, tmp_path)


def test_a_child_that_is_forked_inside_a_transaction_is_refused(tmp_path: Path) -> None:
    program = """
add(0)
with store.write() as change:
    pid = os.fork()
    if not pid:
        told = refused(get)
        os._exit(0 if "forked" in told and "spawn" in told else 1)
    assert os.waitpid(pid, 0)[1] == 0
    change.put_context("local", "T-0001", {"k0001": b"1"}, author="ann", at="")
assert sorted(get()) == ["k0000", "k0001"]
store.close()
"""
    run_python(_START + program, tmp_path)


def test_processes_that_come_and_go_lose_nothing(tmp_path: Path) -> None:
    """The last one that closes the file takes its log away, while the next one opens it."""
    _filled(tmp_path)
    program = """
for n in range(40):
    add(100 * int(sys.argv[2]) + n)
    store.close()
"""
    outputs_of([start("-c", _START + program, tmp_path, n) for n in range(1, 5)])
    store = SqliteStore(tmp_path / "flow.db")
    expected = {f"k{100 * n + m:04}": 100 * n + m for n in range(1, 5) for m in range(40)}
    assert context_of(store) == {"k0": 0, **expected}
    assert store.check() == []
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
