"""Real processes that record are killed at random moments, and stopped, and run side by side."""

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.records.home import Home
from flow_kernel.records.journal import Journal
from flow_kernel.records.scan import read_records, verify, verify_home
from tests.records.journals import OTHER, SESSION, lines_of, seqs_of

_WAIT_S = 20.0
_KILLS_A_HOME = 10


class Writers:
    """The program `writer.py` and what it prints."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.records.writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            cwd=Path(__file__).parents[2],
        )
        self._buffer = b""

    def __enter__(self) -> "Writers":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=_WAIT_S)

    def start(self, home: Home, session: str, *, count: int, sizes: str, tasks: str) -> int:
        """Start a writer; its pid."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{home.root} {session} {count} {sizes} {tasks}\n".encode())
        return int(self.line().split()[1])

    def line(self) -> bytes:
        """The next line that is printed."""
        while b"\n" not in self._buffer:
            assert self.wait(_WAIT_S), "the writer is silent"
            self._buffer += os.read(self._fd, 65536)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def wait(self, timeout_s: float) -> bool:
        """Wait for output; False when there is none in time."""
        return bool(select.select([self._fd], [], [], timeout_s)[0])

    def acknowledged_until_the_end(self) -> tuple[list[int], int]:
        """The numbers printed from now on, and the exit status."""
        numbers = []
        while not (line := self.line()).startswith(b"end"):
            numbers.append(int(line))
        return numbers, int(line.split()[1])

    @property
    def _fd(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    with Writers() as writers:
        yield writers


def test_100_kills_lose_nothing_acknowledged(writers: Writers, tmp_path: Path) -> None:
    _kill(writers, tmp_path, 100)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_10_000_kills_lose_nothing_acknowledged(writers: Writers, tmp_path: Path) -> None:
    _kill(writers, tmp_path, 10_000)


def _kill(writers: Writers, tmp_path: Path, kills: int) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    damaged = 0
    for n in range(kills):
        if n % _KILLS_A_HOME == 0:
            home = Home(tmp_path / f"home-{n}")
            damaged = 0
        session = f"{n:032x}"
        sizes = chance.choice(["10", "1300", "10,1300,20000", "100000,300"])
        tasks = chance.choice(["T-0000", "T-0000,T-0001"])
        pid = writers.start(home, session, count=0, sizes=sizes, tasks=tasks)
        acknowledged = [int(writers.line()) for _ in range(chance.choice([0, 1, 2, 30]))]
        # A random moment: some hundred microseconds pass while nobody reads.
        deadline = time.monotonic() + chance.random() * 0.002
        while time.monotonic() < deadline:
            pass
        os.kill(pid, signal.SIGKILL)
        more, status = writers.acknowledged_until_the_end()
        acknowledged += more

        verdict = verify(home.log_files())
        in_file = {r["seq"] for r in read_records(home.log_files()) if r["session"] == session}
        told = f"kill {n} of seed {seed}"
        assert status == -signal.SIGKILL, told
        assert acknowledged == list(range(1, len(acknowledged) + 1)), told
        assert in_file >= set(acknowledged), told
        assert len(in_file) <= len(acknowledged) + 1, told
        assert verdict.gaps == (), told
        # At most the line that was being written is torn.
        assert len(verdict.damaged) - damaged <= 1, (told, verdict.damaged)
        damaged = len(verdict.damaged)


def test_processes_that_record_side_by_side_lose_nothing(tmp_path: Path) -> None:
    """Three processes write two tasks with rotation, while this one makes the home and reads."""
    home = Home(tmp_path / "home")
    sessions = [f"{n:032x}" for n in range(3)]
    with Writers() as one, Writers() as two, Writers() as three:
        programs = [one, two, three]
        for program, session in zip(programs, sessions, strict=True):
            program.start(home, session, count=400, sizes="10,1300,9000", tasks="T-0000,T-0001")
        home.ensure()
        verdicts = [verify_home(home) for _ in range(10)]
        endings = [program.acknowledged_until_the_end() for program in programs]

    assert endings == [(list(range(1, 401)), 0)] * 3
    assert [seqs_of(home, session) for session in sessions] == [list(range(1, 401))] * 3
    assert [verdict.ok for verdict in verdicts] == [True] * 10
    assert verify(home.log_files()).ok


def test_a_stopped_process_that_holds_the_lock_holds_up_no_cell(tmp_path: Path) -> None:
    home = Home(tmp_path)
    log = home.log_path("local", "T-0000")
    journal = Journal(home, SESSION)
    assert journal.append("late", "local", "T-0000", {}) == 1
    with _stopped_holder(log):
        seqs = [journal.append("late", "local", "T-0000", {"n": n}) for n in range(50)]
        other = Journal(home, OTHER)
        assert other.append("late", "local", "T-0000", {}) == 1
        assert verify([log]).ok
    assert journal.append("late", "local", "T-0000", {}) == 52
    journal.close()
    other.close()

    assert seqs == list(range(2, 52))
    assert seqs_of(home, SESSION) == list(range(1, 53))
    # Without the lock nobody knows how the file ends: each of those lines begins with a newline.
    assert len(lines_of(log)) == 53
    assert verify([log]).ok


class _stopped_holder:  # noqa: N801 - read as a phrase
    """A process that has taken the lock of a file and was stopped then."""

    def __init__(self, path: Path) -> None:
        program = (
            "import fcntl, os, signal, sys\n"
            "file = open(sys.argv[1], 'rb')\n"
            "fcntl.flock(file, fcntl.LOCK_EX)\n"
            "os.kill(os.getpid(), signal.SIGSTOP)\n"
        )
        self._process = subprocess.Popen([sys.executable, "-c", program, path])

    def __enter__(self) -> None:
        pid, status = os.waitpid(self._process.pid, os.WUNTRACED)
        assert (pid, os.WIFSTOPPED(status)) == (self._process.pid, True)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(_WAIT_S)
