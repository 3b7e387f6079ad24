"""The state of tasks: an update, four writers at once, a new store, a suggestion, a read.

Called by `run.py`. The peer is `sqlite3` without any of our code, on a file with the same settings.
"""

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness import Bench, Benchmark, Figure, Result, Target, alternate, pairs_of, side_by_side

from flow_kernel.records.home import Home
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.store.contract import TaskRow
from flow_kernel.store.sqlite import SqliteStore

_PEER: Final = "sqlite3 by hand"
_TASK: Final = "T-0001"
_WRITERS: Final = 4
_UPDATES: Final = 500
_USES: Final = 10_000
_UPDATE: Final = Figure(
    name="context_update",
    title="one key of a context set, with its history",
    unit="ms",
    target=Target(at_most=0.05),
)
_TOGETHER: Final = Figure(
    name="context_4_writers",
    title="an update while four processes update one task",
    unit="us",
    target=Target(at_most=100),
)
_TOGETHER_RATIO: Final = Figure(
    name="context_4_writers_ratio",
    title="the same, over an upsert of one row by four processes",
    unit="us",
    target=Target(at_most=2.5, of="ratio"),
)
_TOGETHER_HISTORY: Final = Figure(
    name="context_4_writers_history",
    title="the same, over an upsert and a row of history in one transaction by four processes",
    unit="us",
    target=Target(at_most=2.5, of="ratio"),
)
_OPEN: Final = Figure(
    name="store_open", title="a new store until it can be read", unit="ms", target=Target(at_most=5)
)
_SUGGEST: Final = Figure(
    name="suggest_10k",
    title="values to offer for a key that was set 10,000 times",
    unit="ms",
    target=Target(at_most=5),
)
_READ: Final = Figure(name="context_read", title="a context of 20 keys read", unit="us")

_TABLE: Final = "CREATE TABLE item (task TEXT, key TEXT, value TEXT, PRIMARY KEY (task, key))"
_UPSERT: Final = (
    "INSERT INTO item VALUES ('T-0001', ?, ?) ON CONFLICT (task, key) DO UPDATE SET"
    " value = excluded.value"
)
_HISTORY: Final = "INSERT INTO history (task, key, value) VALUES ('T-0001', ?, ?)"
_WRITER: Final = """
import sys, time
from pathlib import Path
{setup}
update("begin", 0)
print("ready", flush=True)
sys.stdin.readline()
began = time.monotonic_ns()
for n in range({updates}):
    update(sys.argv[2], n)
print(began, time.monotonic_ns(), flush=True)
"""
_OURS: Final = """
from flow_kernel.records.home import Home
from flow_kernel.session.open_home import flow_of
flow = flow_of(Home(Path(sys.argv[1])))
def update(key, n):
    flow.update_task_context("T-0001", {key: n})
"""
_BY_HAND: Final = f"""
import sqlite3
connection = sqlite3.connect(Path(sys.argv[1]) / "bare.db", timeout=30, isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=NORMAL")
def update(key, n):
    connection.execute({_UPSERT!r}, (key, str(n)))
"""
_BY_HAND_WITH_HISTORY: Final = f"""
import sqlite3
connection = sqlite3.connect(Path(sys.argv[1]) / "bare.db", timeout=30, isolation_level=None)
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("PRAGMA synchronous=NORMAL")
def update(key, n):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute({_UPSERT!r}, (key, str(n)))
    connection.execute({_HISTORY!r}, (key, str(n)))
    connection.execute("COMMIT")
"""


def context_update(bench: Bench) -> list[Result]:
    """One process; what it has set is safe from its death when the call returns."""
    flow = _flow(bench)
    bare = _bare(bench.folder("bare"))
    try:
        taken = alternate(
            bench.count(200, 3),
            bench.rng,
            ours=lambda turn: _median_ms(
                lambda: flow.update_task_context(_TASK, {"k": turn}), bench.count(50, 3)
            ),
            peer=lambda turn: _median_ms(
                lambda: bare.execute(_UPSERT, ("k", str(turn))), bench.count(50, 3)
            ),
        )
        return [side_by_side(_UPDATE, pairs_of(taken), peer=_PEER)]
    finally:
        bare.close()
        flow.close()


def context_4_writers(bench: Bench) -> list[Result]:
    """Four processes, 500 updates each, to keys of one task; none is lost.

    The peers have the same write-ahead log and `synchronous`, and SQLite's own page size,
    checkpoints and way to wait. An update of the first is one upsert in a commit of its own, of the
    second an upsert and a row of history. Neither asks whether the task or the file is there, or
    reads the context back, as ours do.
    """
    updates = bench.count(_UPDATES, 10)

    def ours(_: int) -> float:
        flow = _flow(bench)
        took_us = _together(flow.home.root, _OURS, updates)
        history = sum(len(flow.context_history(_TASK, f"k{number}")) for number in range(_WRITERS))
        flow.close()
        if history != _WRITERS * updates:
            raise RuntimeError(f"{_WRITERS * updates - history} updates were lost")
        return took_us

    def by_hand(setup: str) -> float:
        folder = bench.folder("bare")
        bare = _bare(folder)
        bare.execute(
            "CREATE TABLE history (n INTEGER PRIMARY KEY, task TEXT, key TEXT, value TEXT)"
        )
        bare.close()
        return _together(folder, setup, updates)

    found = []
    for setup in (_BY_HAND, _BY_HAND_WITH_HISTORY):
        taken = alternate(
            bench.count(15, 2), bench.rng, ours=ours, peer=lambda _, setup=setup: by_hand(setup)
        )
        found.append(pairs_of(taken))
    alone, with_history = found
    note = f"{1e6 / statistics.median(alone.ours):,.0f} a second, none lost"
    return [
        side_by_side(_TOGETHER, alone, peer=_PEER, note=note),
        side_by_side(_TOGETHER_RATIO, alone, peer=_PEER),
        side_by_side(_TOGETHER_HISTORY, with_history, peer=_PEER),
    ]


def store_open(bench: Bench) -> list[Result]:
    """From nothing to the first answer; the peer connects and makes one table."""

    def ours(_: int) -> float:
        path = bench.folder("store") / "flow.db"
        began = time.perf_counter_ns()
        store = SqliteStore(path)
        with store.read() as view:
            view.tasks()
        took_ms = (time.perf_counter_ns() - began) / 1e6
        store.close()
        return took_ms

    def by_hand(_: int) -> float:
        folder = bench.folder("bare")
        began = time.perf_counter_ns()
        bare = _bare(folder)
        bare.execute("SELECT * FROM item").fetchall()
        took_ms = (time.perf_counter_ns() - began) / 1e6
        bare.close()
        return took_ms

    taken = alternate(bench.count(100, 3), bench.rng, ours=ours, peer=by_hand)
    return [side_by_side(_OPEN, pairs_of(taken), peer=_PEER)]


def suggest(bench: Bench) -> list[Result]:
    """Values of 500 tasks, 3,000 different ones; the peer groups the same rows by their value."""
    flow = _flow(bench)
    bare = _bare(bench.folder("bare"))
    bare.execute("CREATE TABLE used (number INTEGER PRIMARY KEY, key TEXT, value TEXT)")
    with flow.store.write() as change:
        for n in range(bench.count(_USES, 100)):
            place = ("local", f"T-{n % 500 + 1:04d}")
            change.put_context(*place, {"k": b'"v%d"' % (n % 3000)}, author="", at="")
            bare.execute("INSERT INTO used (key, value) VALUES ('k', ?)", (f"v{n % 3000}",))
    query = (
        "SELECT value, COUNT(*) FROM used WHERE key = 'k' GROUP BY value"
        " ORDER BY COUNT(*) DESC, MAX(number) DESC LIMIT 20"
    )
    try:
        taken = alternate(
            bench.count(50, 3),
            bench.rng,
            ours=lambda _: _median_ms(lambda: flow.suggest("k"), 3),
            peer=lambda _: _median_ms(lambda: bare.execute(query).fetchall(), 3),
        )
        return [side_by_side(_SUGGEST, pairs_of(taken), peer="GROUP BY over the same rows")]
    finally:
        bare.close()
        flow.close()


def context_read(bench: Bench) -> list[Result]:
    """The merged context of a task, as Python values."""
    flow = _flow(bench)
    bare = _bare(bench.folder("bare"))
    flow.update_task_context(_TASK, {f"k{n}": n for n in range(20)})
    for n in range(20):
        bare.execute(_UPSERT, (f"k{n}", str(n)))
    query = "SELECT key, value FROM item WHERE task = 'T-0001' ORDER BY key"
    calls = bench.count(50, 3)
    try:
        taken = alternate(
            bench.count(200, 3),
            bench.rng,
            ours=lambda _: 1000 * _median_ms(lambda: flow.get_task_context(_TASK), calls),
            peer=lambda _: 1000 * _median_ms(lambda: bare.execute(query).fetchall(), calls),
        )
        return [side_by_side(_READ, pairs_of(taken), peer=_PEER)]
    finally:
        bare.close()
        flow.close()


def _flow(bench: Bench) -> Flow:
    """A new home with one task."""
    flow = flow_of(Home(bench.folder("flow") / ".flow"))
    with flow.store.write() as change:
        task_id = change.new_task_id("local")
        change.put_task(TaskRow(plan_id="local", task_id=task_id, name="task"), at="")
    return flow


def _bare(folder: Path) -> sqlite3.Connection:
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=NORMAL")
    bare.execute(_TABLE)
    return bare


def _together(folder: Path, setup: str, updates: int) -> float:
    """Microseconds from the first update to the last, for each of them."""
    program = _WRITER.format(setup=setup, updates=updates)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder), f"k{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(_WRITERS)
    ]
    for writer in writers:
        if writer.stdout is None or writer.stdout.readline() != "ready\n":
            raise RuntimeError("a writer did not start")
    for writer in writers:
        if writer.stdin is not None:
            writer.stdin.write("go\n")
            writer.stdin.flush()
    times = [[*map(int, writer.communicate(timeout=120)[0].split())] for writer in writers]
    if any(writer.returncode for writer in writers):
        raise RuntimeError("a writer failed")
    return (
        (max(end for _, end in times) - min(began for began, _ in times))
        / 1000
        / (_WRITERS * updates)
    )


def _median_ms(call: Callable[[], object], calls: int) -> float:
    took_ns = []
    for _ in range(calls):
        began = time.perf_counter_ns()
        call()
        took_ns.append(time.perf_counter_ns() - began)
    return statistics.median(took_ns) / 1e6


BENCHMARKS: Final = tuple(
    Benchmark(name=figure.name, about=figure.title, run=run)
    for figure, run in (
        (_UPDATE, context_update),
        (_TOGETHER, context_4_writers),
        (_OPEN, store_open),
        (_SUGGEST, suggest),
        (_READ, context_read),
    )
)
