"""`jupyter flow watch` in a real terminal, beside a real kernel."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pexpect
import pytest

from tests.environments import environment
from tests.kernels import Kernel
from tests.promises import promise

HOSTILE: Final = "\x1b]52;c;aGk=\x07 \x1b[2J\u202e</b> \x9b31m"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel


class Screen:
    """What a terminal shows after all that was written, without colours."""

    def __init__(self, rows: int) -> None:
        self.lines = [""] * rows

    def feed(self, text: str) -> None:
        """Take what was written: places, lines, and the ends of lines."""
        for row, line in re.findall(r"\x1b\[(\d+);1H(.*?)\x1b\[K", text):
            self.lines[int(row) - 1] = re.sub(r"\x1b\[[0-9;]*m", "", line)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@contextmanager
def _watched(kernel: Kernel, rows: int = 30, columns: int = 90) -> Iterator[Any]:
    child = pexpect.spawn(
        sys.executable,
        ["-m", "flow_kernel.apps.cli", "watch", "--home", str(kernel.logs.home)],
        # A shell that exports its size, and what it was when the program began.
        env=environment({"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}),
        dimensions=(rows, columns),
        encoding="utf-8",
        timeout=20,
    )
    try:
        yield child
    finally:
        child.close(force=True)


@promise("watch.live")
def test_a_cell_and_its_question_are_seen_while_it_runs_and_answered_with_a_key(
    kernel: Kernel,
) -> None:
    kernel.run("%task start Load the data --steps load,check")
    kernel.run("%task step load")
    with _watched(kernel) as child:
        child.expect("Load the data")
        asked = kernel.send("%approve --wait Delete 3 files?\nprint('went on')")
        child.expect("A-0001")
        child.expect("Delete 3 files\\?")
        child.send("r")
        child.expect("reject A-0001\\? y / n")
        child.send("n")
        child.expect("not answered")
        child.send("a")
        child.expect("approve A-0001\\? y / n")
        child.send("y")
        child.expect("A-0001 is approved")
        ran = kernel.collect(asked)
        child.send("q")
        child.expect(pexpect.EOF)
        child.close()

    assert child.exitstatus == 0
    assert ran.reply["status"] == "ok"
    assert "went on" in kernel.stream(parent=asked)
    record = kernel.logs.records("approval", status="approved")[-1]
    assert (record["channel"], record["approval_id"]) == ("watch", "A-0001")


@promise("watch.live")
def test_it_follows_the_size_of_the_window_and_leaves_the_terminal_as_it_was(
    kernel: Kernel,
) -> None:
    with _watched(kernel) as child:
        child.expect("quit")
        child.setwinsize(12, 60)
        child.expect_exact("\x1b[2J")
        child.expect_exact("\x1b[12;1H")
        child.setwinsize(3, 20)
        child.expect("the window is too sm")
        child.setwinsize(24, 80)
        child.expect_exact("\x1b[24;1H")
        child.sendintr()
        child.expect(pexpect.EOF)
        said = str(child.before)
        child.close()

    assert child.exitstatus == 130
    assert said.endswith("\x1b[?7h\x1b[?25h\x1b[?1049l")


@promise("watch.live")
def test_sigterm_gives_the_terminal_back_too(kernel: Kernel) -> None:
    with _watched(kernel) as child:
        child.expect("quit")
        os.kill(child.pid, signal.SIGTERM)
        child.expect(pexpect.EOF)
        said = str(child.before)
        child.close()

    assert said.endswith("\x1b[?1049l")


@promise("watch.live")
def test_nothing_that_a_user_wrote_reaches_the_terminal_as_a_control(kernel: Kernel) -> None:
    kernel.run(f"%task start {HOSTILE} evil")
    kernel.run(f"x = {HOSTILE!r}  # {HOSTILE}")
    screen = Screen(30)
    with _watched(kernel) as child:
        child.expect("evil")
        said = str(child.before) + str(child.after)
        child.expect("quit")
        said += str(child.before) + str(child.after)
        child.send("q")
        child.expect(pexpect.EOF)
    screen.feed(said)

    assert "evil" in screen.text
    ours = r"\x1b\[(\?1049h|\?25l|\?7l|2J|K|\d+;1H|\d+(;\d+)*m)"
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", re.sub(ours, "", said))


@promise("watch.live")
def test_one_look_is_printed_where_there_is_no_terminal_and_a_document_for_programs(
    kernel: Kernel,
) -> None:
    kernel.run("1 + 1")
    program = [sys.executable, "-m", "flow_kernel.apps.cli", "watch"]
    program += ["--home", str(kernel.logs.home)]
    plain, document = (
        subprocess.run(
            [*program, *more], env=environment({}), capture_output=True, text=True, check=True
        )
        for more in ([], ["--json"])
    )
    told = json.loads(document.stdout)

    assert plain.stderr == "no terminal to watch in: this was one look\n"
    assert re.search(r"^SESSIONS\n\w{8}  idle", plain.stdout, re.M)
    assert "\x1b" not in plain.stdout
    assert document.stdout.count("\n") == 1
    assert (told["sessions"][0]["state"], told["sessions"][0]["pid"]) == ("idle", kernel.pid)
    assert told["records"][0]["code"] == "1 + 1"
    assert {"home", "at", "approvals", "tasks", "workers"} < told.keys()


@promise("watch.live")
def test_a_home_without_anything_is_watched_too_until_something_happens(tmp_path: Path) -> None:
    (tmp_path / ".flow").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", "watch", "--home", str(tmp_path)],
        env=environment({}), capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "nothing happens here yet" in done.stdout


@promise("watch.live")
def test_no_line_is_drawn_twice_while_nothing_happens(kernel: Kernel) -> None:
    with _watched(kernel) as child:
        child.expect("quit")
        drawn: list[str] = []
        for _ in range(2):  # the clock alone goes on
            child.expect(r"\x1b\[1;1H[^\n]*?UTC\x1b\[0m\x1b\[K")
            drawn += re.findall(r"\x1b\[(\d+);1H", str(child.before) + str(child.after))
        child.send("q")
        child.expect(pexpect.EOF)

    assert drawn.count("1") == 2
    assert "30" not in drawn
