"""What the tests of the store share: the stores that keep its promises, rows, and processes.

Called by the tests here and by those of `session` that need a home with a task.
"""

import select
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from flow_kernel.records.home import Home
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.contract import Store, TaskRow
from flow_kernel.store.sqlite import SqliteStore

AT: Final = "2026-11-21T01:02:03.456Z"
PLACE: Final = ("local", "T-0001")
WAIT_S: Final = 30.0


START: Final = """
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
"""The beginning of a program that is given a folder: its store, and short ways to use it."""

MakeStore = Callable[[Path], Store]

STORES: Final[dict[str, MakeStore]] = {
    "sqlite": lambda root: SqliteStore(root / "flow.db", wait_s=0.2),
    "sqlite on a network": lambda root: SqliteStore(root / "flow.db", is_network=True, wait_s=0.2),
}
"""Another store keeps the promises of `contract` when it passes the tests with a line here.

Each opens the store that belongs to a folder; a second one on the same folder sees the same rows.
"""


def task_row(task_id: str = "T-0001", *, plan_id: str = "local", **fields: Any) -> TaskRow:
    return TaskRow(
        plan_id=plan_id, task_id=task_id, **{"name": "clean", "status": "doing", **fields}
    )


def put_task(store: Store, task_id: str = "T-0001", **fields: Any) -> TaskRow:
    """Write a task; the row."""
    row = task_row(task_id, **fields)
    with store.write() as change:
        change.put_task(row, at=AT)
    return row


def put_value(store: Store, key: str, value: bytes, *, author: str = "ann", at: str = AT) -> None:
    """Set a key of the context of `PLACE`."""
    with store.write() as change:
        change.put_context(*PLACE, {key: value}, author=author, at=at)


def context_of(store: Store) -> dict[str, object]:
    """The context of `PLACE`."""
    with store.read() as view:
        return view.context(*PLACE)


@contextmanager
def flow_on(root: Path, *, author: str = "ann") -> Iterator[Flow]:
    """A handle on a home with the task T-0001."""
    flow = flow_of(Home(root), author=author)
    put_task(flow.store)
    try:
        yield flow
    finally:
        flow.close()


def verdict_of_sqlite(path: Path) -> str:
    """What SQLite itself says of a file, through a connection that is not ours."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def files_in(folder: Path) -> dict[str, bytes]:
    """All files of a folder with their bytes."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


Process = subprocess.Popen[bytes]


def start(*command: object) -> Process:
    """Start `python *command` with pipes; the caller ends it."""
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=Path(__file__).parents[2],
    )


def read_some(process: Process, count: int) -> bytes:
    """The next bytes that a process prints, `count` of them."""
    assert process.stdout is not None
    found = b""
    while len(found) < count:
        assert select.select([process.stdout], [], [], WAIT_S)[0], "the process is silent"
        more = process.stdout.read(count - len(found))
        assert more, process.communicate(timeout=WAIT_S)
        found += more
    return found


def read_line(process: Process) -> bytes:
    """The next line that a process prints, without its newline."""
    line = b""
    while not line.endswith(b"\n"):
        line += read_some(process, 1)
    return line[:-1]


def outputs_of(processes: list[Process], *, said: bytes = b"") -> list[str]:
    """Give each process its input at once; what they printed, once all have ended well."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(said)
    ended = [process.communicate(timeout=WAIT_S) for process in processes]
    assert [errors.decode()[-2000:] for _, errors in ended] == [""] * len(processes)
    assert [process.returncode for process in processes] == [0] * len(processes)
    return [output.decode() for output, _ in ended]
