"""Stacks that a process tells on a signal, in real processes."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flow_kernel.records.stacks import ask

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")

TELLS = (
    "import sys; from pathlib import Path; from flow_kernel.records import stacks\n"
    "undo = stacks.tell(Path(sys.argv[1]))\n"
)


@contextmanager
def program(path: Path, code: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs `code` after it has said that it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


READY = "print('ready', flush=True)\n"
HOLDS = f"def holds():\n  {READY}  sum(range(10**12))\nholds()\n"


def test_a_process_that_holds_the_gil_tells_its_stack_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "stack"
    with program(path, TELLS + HOLDS) as process:
        for _ in range(3):
            text = ask(path, process.pid, timeout_s=10)
            assert text is not None
            assert text.count("Stack (most recent call first)") == 1
            assert " in holds\n" in text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        process.kill()
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_call_of_the_system_goes_on_and_no_handler_of_python_is_there(tmp_path: Path) -> None:
    path = tmp_path / "stack"
    code = (
        "import os, signal\n"
        "before = [signal.getsignal(n) for n in signal.valid_signals()]\n"
        f"{TELLS}assert [signal.getsignal(n) for n in signal.valid_signals()] == before\n"
        f"{READY}print(os.read(0, 10))\n"
    )
    with program(path, code) as process:
        assert ask(path, process.pid, timeout_s=10)
        assert process.communicate("word") == ("b'word'\n", "")


def test_a_signal_that_somebody_has_taken_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "stack"
    takes = (
        "import signal\nsignal.signal(signal.SIGRTMAX - 4, lambda *_: print('hit', flush=True))\n"
    )
    with program(path, takes + TELLS + HOLDS) as process:
        assert ask(path, process.pid, timeout_s=10)
        number = int(path.read_text("utf-8").splitlines()[0])
        assert number < signal.SIGRTMAX - 4


def test_who_does_not_listen_any_more_is_sent_nothing(tmp_path: Path) -> None:
    path = tmp_path / "stack"
    code = f"{TELLS}{READY}input(); undo(); open(sys.argv[1], 'w').write('60\\n')\n"
    with program(path, f"{code}{READY}input()") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        assert ask(path, process.pid, timeout_s=10) is None
        assert process.poll() is None


def test_a_process_that_has_closed_all_its_files_writes_into_none_of_them(tmp_path: Path) -> None:
    path, mine = tmp_path / "stack", tmp_path / "mine"
    code = (
        f"{TELLS}import os; os.closerange(3, 4096); out = open({str(mine)!r}, 'w')\n{READY}input()"
    )
    with program(path, code) as process:
        assert ask(path, process.pid, timeout_s=0.3) is None
        assert mine.read_bytes() == b""
        assert process.poll() is None


@pytest.mark.parametrize("text", ["", "x\n", "99999\n", "-1\n", "12"])
def test_a_file_that_is_none_of_ours_is_asked_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stack"
    path.write_text(text, "utf-8")
    assert ask(path, os.getpid(), timeout_s=0.1) is None
    assert ask(tmp_path / "none", os.getpid(), timeout_s=0.1) is None
