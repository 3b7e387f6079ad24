"""What a held session does, from what the system and faulthandler say (pure)."""

import pytest

from flow_kernel.session.held import KernelView, RunningCell
from flow_kernel.session.held_text import Frame, document_of, frames_of, lines_of, state_of

REPORT = """\
Thread 0x00007f1 (most recent call first):
  File "/lib/python3.11/threading.py", line 331 in wait

Current thread 0x00007f2 (most recent call first):
  File "/lib/python3.11/re/__init__.py", line 166 in match
  File "/tmp/ipykernel_12/345.py", line 2 in <module>
  File "/site/IPython/core/interactiveshell.py", line 3700 in run_code
  File "/site/IPython/core/interactiveshell.py", line 3600 in run_ast_nodes
"""
MATCH = Frame(file="/lib/python3.11/re/__init__.py", line=166, function="match")
CELL = Frame(file="cell", line=2, function="<module>")
WAITS = Frame(file="/lib/python3.11/threading.py", line=331, function="wait")
ASKS = Frame(file="/site/ipykernel/kernelbase.py", line=1515, function="raw_input")
CHILD = Frame(file="/lib/python3.11/subprocess.py", line=2045, function="_try_wait")


def test_the_frames_are_those_of_the_cell_innermost_first() -> None:
    assert frames_of(REPORT) == (MATCH, CELL)


@pytest.mark.parametrize("text", ["", "Current thread", "\x00\nThread 0x1:\n", REPORT[:70]])
def test_a_report_that_is_none_has_no_frames(text: str) -> None:
    assert frames_of(text) == ()


@pytest.mark.parametrize(
    ("letter", "frames", "cpu_pct", "state"),
    [
        ("R", (MATCH, CELL), 100.0, "running"),
        ("S", (MATCH, CELL), 99.0, "running"),
        ("S", (CELL,), 0.0, "sleeping"),
        ("S", (WAITS, CELL), 0.0, "waiting_lock"),
        ("S", (CHILD, CELL), 0.0, "waiting_child"),
        ("S", (ASKS, CELL), 0.0, "waiting_input"),
        ("R", (ASKS, CELL), 3.0, "waiting_input"),
        ("S", (*[MATCH] * 6, ASKS, CELL), 0.0, "waiting_input"),
        ("D", (CELL,), 0.0, "waiting_io"),
        ("T", (), None, "stopped"),
        ("", (), None, "unknown"),
    ],
)
def test_the_state_is_what_the_stack_and_the_system_say(
    letter: str, frames: tuple[Frame, ...], cpu_pct: float | None, state: str
) -> None:
    assert state_of(letter, frames, cpu_pct) == state


def view(cell: RunningCell | None, frames: tuple[Frame, ...] = ()) -> KernelView:
    return KernelView(
        session="ab" * 16, pid=12, notebook="", cell=cell, state="running" if cell else "idle",
        frames=frames, cpu_pct=99.4, rss_bytes=50_000_000,
    )  # fmt: skip


CELL_7 = RunningCell(
    execution_count=7, code="\n\x1b[31mslow()", began_at="2026-11-29T21:00:00.000Z",
    running_s=12.3, task_id="local/T-0001",
)  # fmt: skip


def test_a_held_session_is_told_in_a_few_lines_without_controls() -> None:
    head, code, *stack = lines_of(view(CELL_7, (MATCH, CELL)))
    assert head == "session abababab (pid 12) runs cell [7] for 12.3 s: running, 99 % CPU, 50.0 MB"
    assert "\x1b" not in code
    assert stack == ["    /lib/python3.11/re/__init__.py:166 in match", "    cell:2 in <module>"]
    assert len(lines_of(view(CELL_7, (CELL,) * 40))) == 15
    assert lines_of(view(None)) == ["session abababab (pid 12) is idle"]


def test_a_held_session_is_a_document_for_programs() -> None:
    document = document_of(view(CELL_7, (CELL,)))
    assert document["stack"] == [{"file": "cell", "line": 2, "function": "<module>"}]
    assert document["cell"] == {
        "execution_count": 7, "code": "\x1b[31mslow()", "began_at": "2026-11-29T21:00:00.000Z",
        "running_s": 12.3, "task_id": "local/T-0001",
    }  # fmt: skip
    assert document_of(view(None))["cell"] is None
