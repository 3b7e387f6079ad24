"""A question in terminal IPython: typed at its own line, or answered from elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.test_approvals import answer, approvals
from tests.flows.test_extension import Terminal
from tests.promises import promise


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    terminal.run("%load_ext flow_kernel")
    yield terminal
    terminal.close()


@promise("approval.anywhere")
def test_what_is_typed_in_the_terminal_is_the_answer(terminal: Terminal) -> None:
    terminal._child.sendline("ok = %approve Delete it?")
    terminal._child.expect_exact("A-0001: yes, no or skip? ")
    terminal._child.sendline("perhaps")
    terminal._child.expect_exact("Please type yes, no or skip.")
    screen = terminal.run("no, keep it")

    assert "bool(ok)" not in screen
    assert "False" in terminal.run("bool(ok)")
    (item,) = approvals(terminal.logs.home)
    assert (item["status"], item["channel"], item["comment"]) == ("rejected", "stdin", "keep it")


@promise("approval.anywhere")
def test_an_answer_from_elsewhere_frees_the_terminal_and_what_was_half_typed_is_no_code(
    terminal: Terminal,
) -> None:
    terminal._child.sendline("ok = %approve Delete it?")
    terminal._child.expect_exact("A-0001: yes, no or skip? ")
    terminal._child.send("reached = 1")
    answer(terminal.logs.home, "approve", "A-0001")
    terminal._prompt()

    assert "(True, False)" in terminal.run("bool(ok), 'reached' in dir()")
