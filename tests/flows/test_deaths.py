"""A cell that ends its kernel is on disk, its death is recorded once, and the next kernel tells."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.tail import LastWords, read_last_words
from tests.kernels import Kernel
from tests.logs import Record, TaskLogs
from tests.promises import promise

FATAL = {
    "os_exit": ("import os\nprint('last words'); os._exit(3)", {"killed", "exit"}, None),
    "sigkill": (
        "import os, signal\nprint('last words'); os.kill(os.getpid(), signal.SIGKILL)",
        {"killed"},
        None,
    ),
    "segfault": (
        "import ctypes\nprint('last words'); ctypes.string_at(0)",
        {"segfault"},
        signal.SIGSEGV,
    ),
    "abort": ("import os\nprint('last words'); os.abort()", {"killed"}, signal.SIGABRT),
    "bad_arithmetic": (
        "import os, signal\nprint('last words'); os.kill(os.getpid(), signal.SIGFPE)",
        {"segfault"},
        signal.SIGFPE,
    ),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def dead(home: Path) -> Iterator[Kernel]:
    """A kernel on the home, for a test to kill."""
    with Kernel(home=home) as kernel:
        kernel.run("x = 1; print('an earlier cell')")
        yield kernel


def _death(logs: TaskLogs) -> Record:
    return logs.one("death")


def _words(home: Path) -> LastWords:
    """What the one kernel of a home would leave if it died now."""
    (path,) = Home(home).run_dir.glob("*.tail")
    return read_last_words(path)


@promise("death.recorded", "death.told")
@pytest.mark.parametrize("name", FATAL)
def test_a_fatal_cell_is_on_disk_and_its_death_is_recorded_and_told(
    dead: Kernel, home: Path, name: str
) -> None:
    code, reasons, number = FATAL[name]

    dead.fatal(code)

    started = dead.logs.records("cell_started")[-1]
    assert (started["code"], dead.logs.records("cell", span_id=started["span_id"])) == (code, [])
    with Kernel(home=home) as heir:
        first, second = heir.run("y = 1"), heir.run("y = 2")

        death = _death(heir.logs)
        assert death["reason"] in reasons
        assert (death["pid"], death["span_id"]) == (dead.pid, started["span_id"])
        assert (death["session"], death["last_seq"], death["seq"]) == (
            started["session"],
            started["seq"],
            started["seq"] + 1,
        )
        assert number in (None, death["signal"])
        assert death["last_output"] == "last words\n"
        assert death["peak_rss_bytes"] > 20 * 2**20
        assert (
            started["session"]
            != heir.logs.one("cell", seq=second.seq, session=_session(heir, second.msg_id))[
                "session"
            ]
        )
        assert code.splitlines()[0] in first.stderr
        assert "last words" in first.stderr
        assert second.stderr == ""


def _session(kernel: Kernel, msg_id: str) -> str:
    return str(kernel.logs.one("cell", msg_id=msg_id)["session"])


@promise("death.told")
def test_what_the_next_kernel_says_is_no_output_of_its_cell(dead: Kernel, home: Path) -> None:
    dead.fatal("import os; os._exit(1)")

    with Kernel(home=home) as heir:
        first = heir.run("print('mine')")

        record = heir.logs.one("cell", msg_id=first.msg_id)
        assert first.stderr != ""
        assert (record["stdout"], record["stderr"]) == ("mine\n", "")


@promise("death.recorded")
def test_the_end_of_a_flood_of_prints_is_kept_while_the_cell_goes_on(
    dead: Kernel, home: Path
) -> None:
    dead.send("for i in range(3000): print('step', i)\nimport signal; signal.pause()")
    dead.wait(lambda: _words(home).output.endswith("step 2998\nstep 2999\n"))
    dead.kill()

    with Kernel(home=home) as heir:
        heir.run("pass")

        assert _death(heir.logs)["last_output"].endswith("step 2998\nstep 2999\n")


@promise("death.recorded")
def test_the_peak_memory_of_the_dead_kernel_is_kept(dead: Kernel, home: Path) -> None:
    dead.send("b = bytearray(300 * 2**20); del b\nimport signal; signal.pause()")
    dead.wait(lambda: (_words(home).peak_rss_bytes or 0) > 300 * 2**20)
    dead.kill()

    with Kernel(home=home) as heir:
        heir.run("pass")

        assert 300 * 2**20 < _death(heir.logs)["peak_rss_bytes"] < 600 * 2**20


@promise("death.recorded")
def test_two_kernels_started_at_once_record_a_death_once(dead: Kernel, home: Path) -> None:
    dead.fatal("import os; os._exit(1)")

    with Kernel(home=home) as one, Kernel(home=home) as two:
        told = [kernel.run("z = 1").stderr for kernel in (one, two)]

        assert _death(one.logs)["pid"] == dead.pid
        assert sorted(map(bool, told)) == [False, True]


@promise("death.only")
def test_a_live_kernel_is_never_declared_dead(dead: Kernel, home: Path) -> None:
    with Kernel(home=home) as other:
        other.run("a = 1")
        dead.run("b = 1")

        with Kernel(home=home) as third:
            third.run("c = 1")
            assert third.logs.records("death") == []
            assert len(list(home.glob("run/*.lease"))) == 3


@promise("death.only")
def test_a_stopped_kernel_is_not_dead(dead: Kernel, home: Path) -> None:
    os.kill(dead.pid, signal.SIGSTOP)
    try:
        with Kernel(home=home) as other:
            other.run("a = 1")

            assert other.logs.records("death") == []
    finally:
        os.kill(dead.pid, signal.SIGCONT)


@promise("death.only")
def test_an_orderly_end_is_no_death_and_leaves_nothing_in_the_run_folder(
    dead: Kernel, home: Path
) -> None:
    dead.shutdown()

    assert list(home.glob("run/*")) == []
    with Kernel(home=home) as heir:
        assert heir.run("y = 1").stderr == ""
        assert heir.logs.records("death") == []


@promise("death.only")
def test_a_cell_that_asks_the_kernel_to_exit_is_no_death(dead: Kernel, home: Path) -> None:
    dead.send("exit()")
    dead.process.wait(20)

    with Kernel(home=home) as heir:
        assert heir.run("y = 1").stderr == ""
        assert heir.logs.records("death") == []


@promise("death.recorded")
def test_a_kernel_killed_between_cells_is_recorded_without_a_cell(dead: Kernel, home: Path) -> None:
    last = dead.run("idle = 1").seq
    dead.kill()

    with Kernel(home=home) as heir:
        heir.run("y = 1")

        death = _death(heir.logs)
        assert (death["span_id"], death["last_seq"], death["reason"]) == (None, last, "killed")


@promise("death.recorded")
def test_a_death_in_a_nested_cell_names_the_cell_of_the_user(dead: Kernel, home: Path) -> None:
    dead.fatal("get_ipython().run_cell('import os; os._exit(1)')")

    with Kernel(home=home) as heir:
        heir.run("y = 1")

        (outer,) = [
            r for r in heir.logs.records("cell_started") if r["code"].startswith("get_ipython")
        ]
        assert _death(heir.logs)["span_id"] == outer["span_id"]


@promise("death.only")
def test_a_forked_child_that_dies_is_no_death_of_the_kernel(dead: Kernel, home: Path) -> None:
    dead.run("import os\npid = os.fork()\nif pid == 0: os._exit(1)\n_w = os.waitpid(pid, 0)")
    dead.run("pid = os.fork()\nif pid == 0: os.kill(os.getpid(), 9)\n_w = os.waitpid(pid, 0)")

    with Kernel(home=home) as other:
        other.run("y = 1")

        assert other.logs.records("death") == []
        assert len(list(home.glob("run/*.lease"))) == 2
