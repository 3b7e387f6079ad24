"""What a fork is safe after, what it is refused for, and what is said before it.

The first table is that of the libraries after whose use a copy was seen to work.
"""

import importlib.util
import sys

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

FORK = "%%isolated --fork\n"

IN_USE = {
    "numpy": (
        "import numpy as np; a = np.ones((300, 300)); c = (a @ a)[0, 0]",
        "float((a @ a)[0, 0])",
        "300.0",
    ),
    "pandas": (
        "import pandas as pd\nframe = pd.DataFrame({'k': [1, 1, 2], 'v': [1, 2, 3]})\n"
        "_ = frame.groupby('k').v.sum()",
        "frame.groupby('k').v.sum().tolist()",
        "[3, 3]",
    ),
    "sqlite3": (
        "import sqlite3; base = sqlite3.connect('base.db'); _ = base.execute('select 1')",
        "base.execute('select 41 + 1').fetchone()",
        "(42,)",
    ),
    "duckdb": (
        "import duckdb; _ = duckdb.sql('select 1').fetchall()",
        "duckdb.sql('select sum(i) from range(9) t(i)').fetchall()[0][0]",
        "36",
    ),
    "asyncio": (
        "import asyncio; _ = await asyncio.sleep(0)",
        "await asyncio.sleep(0, 'slept')",
        "'slept'",
    ),
    "logging": (
        "import logging, threading; stop = threading.Event(); log = logging.getLogger('busy')\n"
        "log.addHandler(logging.NullHandler())\n"
        "def busy():\n    while not stop.is_set(): log.warning('x')\n"
        "busy_one = threading.Thread(target=busy); busy_one.start()",
        "[log.warning('y') for _ in range(99)][0]",
        "",
    ),
    "sklearn": (
        "import numpy as np; from sklearn.cluster import KMeans\n"
        "p = np.random.RandomState(0).rand(3000, 8); _ = KMeans(3, n_init=1).fit(p)",
        "KMeans(3, n_init=1, random_state=0).fit(p).labels_.shape",
        "(3000,)",
    ),
    "matplotlib": (
        "import matplotlib.pyplot as plt; _ = plt.figure(); plt.close()",
        "len(plt.figure().axes)",
        "0",
    ),
}


@promise("fork.guarded")
@pytest.mark.parametrize("library", IN_USE)
def test_a_library_in_use_works_in_a_copy(kernel: Kernel, library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    use, again, result = IN_USE[library]
    ok(kernel, use)
    try:
        assert ok(kernel, FORK + again) == result
        ok(kernel, again)
    finally:
        if library == "logging":
            ok(kernel, "stop.set(); busy_one.join()")


HOLD = (
    "import threading\nheld, free = threading.Lock(), threading.Event()\n"
    "ready = threading.Event()\n"
    "def hold():\n    with held:\n        ready.set(); free.wait()\n"
    "holder = threading.Thread(target=hold); holder.start(); ready.wait()\n"
    "class Box: pass\nbox = Box(); box.lock = held\n"
)


@promise("fork.guarded")
def test_a_lock_that_another_thread_holds_is_refused_before_the_fork(kernel: Kernel) -> None:
    ok(kernel, HOLD)
    ran = kernel.run(f"{FORK}print('ran')\nwith held: pass")
    assert ran.reply["ename"] == "IsolationUnavailable"
    assert "held is a lock that is held" in ran.reply["evalue"]
    assert "nothing was run" in ran.reply["evalue"]
    assert ran.stdout == ""
    assert ok(kernel, f"{FORK}1 + 1") == "2"
    ok(kernel, "free.set(); holder.join()")
    assert ok(kernel, f"{FORK}with held: print('free')") == "free\n"


@promise("fork.guarded", "fork.ends")
def test_a_copy_that_hangs_as_it_begins_is_killed_and_says_so(kernel: Kernel) -> None:
    ok(kernel, HOLD)
    ran = kernel.run(f"{FORK}with box.lock: pass")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert "hung as it began and was killed" in ran.error["evalue"]
    assert "the variables of this session are as they were" in ran.error["evalue"]
    ok(kernel, "free.set(); holder.join()")
    assert ok(kernel, f"{FORK}with box.lock: print('free')") == "free\n"


@promise("fork.guarded", "fork.ends")
def test_a_pool_whose_threads_are_the_session_s_is_waited_for_in_vain(kernel: Kernel) -> None:
    ok(kernel, "from concurrent.futures import ThreadPoolExecutor; pool = ThreadPoolExecutor(1)")
    assert ok(kernel, "pool.submit(abs, -1).result()") == "1"
    ran = kernel.run(f"{FORK}pool.submit(abs, -2).result()")
    assert ran.error is not None
    assert "threads that a copy does not have" in ran.error["evalue"]
    assert ok(kernel, "pool.submit(abs, -3).result()") == "3"


@promise("fork.guarded")
def test_a_cell_that_waits_with_reason_is_no_hang(kernel: Kernel) -> None:
    code = (
        "import queue, subprocess, threading, time\nq = queue.Queue()\n"
        "threading.Thread(target=lambda: (time.sleep(1.3), q.put(1))).start(); q.get()\n"
        "subprocess.run(['sleep', '0.1']).returncode"
    )
    assert ok(kernel, FORK + code) == "0"


@promise("fork.guarded")
def test_a_connection_that_the_cell_reads_is_said_once(kernel: Kernel) -> None:
    ok(kernel, "import socket, sqlite3; one, two = socket.socketpair()")
    ok(kernel, "ledger = sqlite3.connect(':memory:')")
    said = kernel.run(f"{FORK}ledger.execute('select 1').fetchone(), one.fileno() > 0")
    assert said.result == "((1,), True)"
    assert "ledger (a database of SQLite) is shared with the copy" in said.stderr
    assert "one (a socket) is shared" in said.stderr
    assert "two" not in said.stderr
    assert kernel.run(f"{FORK}ledger.execute('select 1').fetchone()").stderr == ""
    assert kernel.run(f"{FORK}1").stderr == ""
    ok(kernel, "class Store: pass\nstore = Store(); store.parts = [{'base': ledger}]")
    said = kernel.run(f"{FORK}store.parts[0]['base'].execute('select 1').fetchone()").stderr
    assert "store (it holds a database of SQLite) is shared with the copy" in said


@promise("fork.guarded")
def test_threads_of_polars_are_a_reason_to_refuse(kernel: Kernel) -> None:
    """Not polars itself, which need not be installed: a module and a thread of those names."""
    ok(
        kernel,
        "import ctypes, sys, threading, types\nsys.modules['polars'] = types.ModuleType('polars')\n"
        "stop, named = threading.Event(), threading.Event()\n"
        "def work():\n    ctypes.CDLL(None).prctl(15, b'polars-0', 0, 0, 0)\n"
        "    named.set(); stop.wait()\n"
        "one = threading.Thread(target=work); one.start(); named.wait()",
    )
    ran = kernel.run(f"{FORK}print('ran')")
    assert ran.reply["ename"] == "IsolationUnavailable"
    assert "polars has begun threads, which a copy would wait for for ever" in ran.reply["evalue"]
    assert "run the cell without --fork" in ran.reply["evalue"]
    ok(kernel, "stop.set(); one.join(); del sys.modules['polars']")
    assert ok(kernel, f"{FORK}1 + 1") == "2"


@promise("fork.guarded")
def test_where_every_cell_has_a_worker_a_copy_of_the_session_is_refused() -> None:
    with Kernel(env={"USE_SUBPROCESS_WORKER": "1"}) as strict:
        ok(strict, "x = 1")
        ran = strict.run(f"{FORK}x")
        assert ran.reply["ename"] == "IsolationUnavailable"
        assert "a copy of the session would see no variable of it" in ran.reply["evalue"]
        assert ok(strict, "x") == "1"
