"""Lines of the history are on disk soon, at the latest when somebody looks or the kernel ends."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.kernels import Kernel
from tests.promises import promise

_SIZE = "get_ipython().history_manager.db_cache_size"


@pytest.fixture
def cold() -> Iterator[Kernel]:
    """A kernel that ends as one of a user's does."""
    with Kernel(is_cold=True) as kernel:
        yield kernel.ready()


_TORN = """
import sys, time
history = get_ipython().history_manager
while history._is_timed:
    time.sleep(0.01)
def trace(frame, event, _):
    if frame.f_code.co_name == "_later" and event == "call":
        sys.settrace(None)
        raise KeyboardInterrupt
sys.settrace(trace)
try:
    history.store_inputs(1000, "torn = 1")
except KeyboardInterrupt:
    pass
finally:
    sys.settrace(None)
"""


def _database(kernel: Kernel) -> Path:
    return kernel.root / "ipython" / "profile_default" / "history.sqlite"


def _lines(kernel: Kernel) -> list[str]:
    """What is on disk."""
    with closing(sqlite3.connect(f"file:{_database(kernel)}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT source_raw FROM history ORDER BY session, line")
        return [text for (text,) in found]


def _wait_for(kernel: Kernel, lines: list[str]) -> None:
    kernel.wait(lambda: _lines(kernel) == lines)


@promise("history.kept")
def test_lines_are_on_disk_after_a_clean_end_and_after_a_restart(cold: Kernel) -> None:
    cold.run("a = 1")
    cold.run("a + 1")
    cold.shutdown()
    assert _lines(cold) == ["a = 1", "a + 1"]

    cold._disconnect()
    cold._is_ready = cold._is_welcome = False
    cold._launch()
    cold.ready().run("b = 2")
    cold.request("shutdown_request", {"restart": True}, channel="control")
    cold.process.wait(20)
    assert _lines(cold) == ["a = 1", "a + 1", "b = 2"]


@promise("history.kept")
def test_lines_are_on_disk_soon_without_any_end(own: Kernel) -> None:
    own.run("first = 1")
    _wait_for(own, ["first = 1"])
    own.run("second = 2")
    own.run("third = 3")
    _wait_for(own, ["first = 1", "second = 2", "third = 3"])


@promise("history.kept")
def test_a_fork_loses_no_line(own: Kernel) -> None:
    forks = "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)"
    own.run("before = 1")
    own.run(forks)
    own.run("after = 2")

    _wait_for(own, ["before = 1", forks, "after = 2"])
    ran = own.run("%history -g after")
    assert ran.stdout.split(": ", 1)[1].splitlines()[0] == "after = 2"


@promise("history.kept")
def test_who_looks_sees_lines_of_a_moment_ago(own: Kernel) -> None:
    own.run("needle = 1")
    assert "needle = 1" in own.run("%history -g needle").stdout
    own.run("pin = 2")
    content = {"hist_access_type": "tail", "n": 3, "raw": True, "output": False, "session": 0}
    tail = own.ask("history_request", content)["history"]
    assert [line for *_, line in tail] == ["needle = 1", "%history -g needle", "pin = 2"]
    content = {"hist_access_type": "search", "pattern": "pin*", "raw": True, "output": False}
    assert [line for *_, line in own.ask("history_request", content)["history"]] == ["pin = 2"]


@promise("history.kept")
def test_a_size_that_the_user_has_set_is_respected() -> None:
    with Kernel(arguments=["--HistoryManager.db_cache_size=5"]) as kernel:
        assert kernel.ready().run(_SIZE).result == "5"
        for number in range(2, 5):
            kernel.run(f"{number}")
        assert _lines(kernel) == []
        kernel.run("5")
        _wait_for(kernel, [_SIZE, "2", "3", "4", "5"])


@promise("history.kept")
def test_outputs_are_kept_where_that_was_asked_for() -> None:
    with Kernel(arguments=["--HistoryManager.db_log_output=True"]) as kernel:
        kernel.ready().run("'kept'")

        def is_there() -> bool:
            with closing(sqlite3.connect(_database(kernel))) as connection:
                rows = connection.execute("SELECT output FROM output_history").fetchall()
            return rows == [("'kept'",)]

        kernel.wait(is_there)


@promise("history.kept")
def test_a_line_of_a_cell_that_ends_the_session_is_kept(cold: Kernel) -> None:
    cold.run("last = 1")
    cold.run("import sys; sys.exit()")
    cold.send("get_ipython().ask_exit()")
    cold.process.wait(20)

    assert _lines(cold)[:2] == ["last = 1", "import sys; sys.exit()"]


@promise("history.kept")
def test_an_interrupt_as_a_line_is_noted_keeps_no_later_line_from_the_disk(own: Kernel) -> None:
    own.run(_TORN)
    own.run("later = 1")

    own.wait(lambda: _lines(own)[1:] == ["later = 1", "torn = 1"])
