"""Last words survive a kill, and a flood of writes costs little."""

import signal
import subprocess
import sys
from pathlib import Path

from flow_kernel.records.tail import LastWords, OutputTail, read_last_words

DOOMED = """
import os, signal, sys
from pathlib import Path
from flow_kernel.records.tail import OutputTail
tail = OutputTail(Path(sys.argv[1]), lambda text: text.replace("secret", "[gone]"))
tail.memory(123456789)
tail.memory(1000)
tail.note("about to die, secret\\n")
tail.note("now")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_last_words_of_a_killed_process_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "tail"
    done = subprocess.run([sys.executable, "-c", DOOMED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert read_last_words(path) == LastWords(
        peak_rss_bytes=123456789, output="about to die, [gone]\nnow"
    )


def test_a_flood_is_held_back_and_flushed(tmp_path: Path) -> None:
    redactions = []

    def redact(text: str) -> str:
        redactions.append(1)
        return text

    tail = OutputTail(tmp_path / "tail", redact)
    for number in range(50_000):
        tail.note(f"{number}\n")
    tail.flush()
    assert read_last_words(tmp_path / "tail").output.endswith("49998\n49999\n")
    assert len(redactions) < 5000


def test_a_new_cell_begins_with_nothing_said(tmp_path: Path) -> None:
    tail = OutputTail(tmp_path / "tail", str)
    tail.note("old")
    tail.clear()
    assert read_last_words(tmp_path / "tail").output == ""


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    tail = OutputTail(tmp_path / "missing" / "tail", str)
    tail.note("x")
    tail.memory(5)
    tail.remove()
    assert read_last_words(tmp_path / "missing" / "tail") == LastWords(
        peak_rss_bytes=None, output=""
    )
