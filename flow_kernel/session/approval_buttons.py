"""Buttons below a waiting cell, shown while its question is open.

Called by `session.approvals`; the shell gives what shows them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from flow_kernel.errors import FlowError
from flow_kernel.store.contract import ApprovalRow

CHANNEL = "button"


class Answer(Protocol):
    """Takes an answer, in any thread; the first valid one counts."""

    def __call__(self, decision: str, comment: str, /) -> object:
        """Raises `FlowError` for one that does not count."""


class Buttons(Protocol):
    """Shows buttons; given by the shell."""

    def show(self, row: ApprovalRow, answer: Answer) -> Callable[[ApprovalRow], None] | None:
        """Show buttons for a question, where the front end has such.

        Returns:
            What to call with the answer, whoever gave it; None where nothing is shown.
        """


class Answering(Protocol):
    """Takes answers to the questions of a home."""

    def __call__(
        self, approval_id: str, decision: str, *, by: str, channel: str, comment: str = ""
    ) -> ApprovalRow:
        """Answer a question."""


@contextmanager
def shown_while_open(
    buttons: Buttons | None,
    row: ApprovalRow,
    *,
    decide: Answering,
    person: Callable[[], str],
    look: Callable[[str], ApprovalRow],
) -> Iterator[list[ApprovalRow]]:
    """Buttons for a question in the block; then they show the answer, and do nothing any more.

    The block puts the question into the list that it gets, as it has ended; it is looked at where
    the block is left without.

    Args:
        buttons: Shows them; None where nobody can.
        row: The question.
        decide: Takes an answer.
        person: Who presses.
        look: The question as it is now.
    """
    ended: list[ApprovalRow] = []
    if buttons is None:
        yield ended
        return
    approval_id = row.approval_id

    def answer(decision: str, comment: str) -> object:
        return decide(approval_id, decision, by=person(), channel=CHANNEL, comment=comment)

    end = buttons.show(row, answer)
    try:
        yield ended
    finally:
        if end is not None:
            with suppress(FlowError):  # the store may refuse: the cell hears it by itself
                end(ended[-1] if ended else look(approval_id))
