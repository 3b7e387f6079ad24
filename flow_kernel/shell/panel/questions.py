"""A question as a view shows it, and what a view says about it.

Called by `shell.panel.buttons`, `shell.panel.rows` and `shell.panel.live`. What comes from a view
is from outside: it is an answer, or it counts for nothing.
"""

from collections.abc import Callable
from html import escape
from typing import Any, Final

from flow_kernel.errors import FlowError
from flow_kernel.records.plain import counted, one_line, strip_controls
from flow_kernel.session.approval_buttons import Answer
from flow_kernel.session.approval_text import (
    MARKS,
    code_lines,
    level_of,
    payload_lines,
    ways_to_answer,
)
from flow_kernel.store.contract import ApprovalRow

DECISIONS: Final = ("approve", "reject", "skip")
TONES: Final = {"open": "warn", "approved": "good", "rejected": "bad", "expired": "bad"}
_MOST_COMMENT: Final = 2000
_MOST_MESSAGE: Final = 2000
_MOST_LINES: Final = 59


def question_of(row: ApprovalRow, *, shows_code: bool = True) -> dict[str, object]:
    """What stands above the buttons.

    Args:
        row: The question.
        shows_code: False where the code stands beside it already: it is the cell itself.
    """
    whole = f"see `jupyter flow approvals {row.approval_id}`"
    message = strip_controls(row.message[:_MOST_MESSAGE], keep="\n")
    if (left := len(row.message) - _MOST_MESSAGE) > 0:
        message += f"\n… {counted(left, 'more character')}, {whole}"
    return {
        "id": row.approval_id,
        "message": message,
        "level": level_of(row),
        "until": row.expires_at,
        "then": row.on_timeout,
        "code": _first(code_lines(row)[1:], whole) if shows_code else [],
        "payload": _first(payload_lines(row)[1:], whole),
        "elsewhere": ways_to_answer(row),
    }


def _first(lines: list[str], whole: str) -> list[str]:
    """The first lines, and how many more there are."""
    left = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"… {counted(left, 'more line')}, {whole}"] if left > 0 else lines


def said_of(row: ApprovalRow) -> str:
    """`approved by ann (button): fine`, without the time, which stands elsewhere."""
    if row.status == "open":
        return f"open until {row.expires_at}" if row.expires_at else "open"
    by = one_line(row.decided_by or "", 60)
    how = f" ({one_line(row.channel or '', 40)})" if row.channel != row.decided_by else ""
    comment = f": {one_line(row.comment, 100)}" if row.comment else ""
    return f"{row.status} by {by}{how}{comment}"


class Outcome:
    """What became of a question, in one line: text, and HTML in which all is escaped."""

    def __init__(self, row: ApprovalRow) -> None:
        self._row = row

    def __repr__(self) -> str:
        return f"{MARKS[self._row.status]} {self._row.approval_id} {said_of(self._row)}"

    def _repr_html_(self) -> str:
        return f'<div style="font-size:13px">{escape(repr(self))}</div>'


class QuestionWidget:
    """The state of one question for its views.

    Args:
        row: The question.
        shows_code: False where the code is the cell above it.
    """

    def __init__(self, row: ApprovalRow, *, shows_code: bool = True) -> None:
        self._approval_id = row.approval_id
        self._question = question_of(row, shows_code=shows_code)
        self.outcome: dict[str, object] = {}
        """What the views are told at the end; empty while it is open."""

    def state(self) -> dict[str, object]:
        """What a view begins with."""
        told = {"what": "question", "question": self._question, "outcome": self.outcome or None}
        return {"flow": told}

    def heard(self, said: Any, tell: Callable[[dict[str, object]], None], answer: Answer) -> None:
        """A view says something; once it has ended, nothing counts."""
        if not self.outcome:
            take_answer(said, tell, lambda asked: answer if asked == self._approval_id else None)

    def end(self, row: ApprovalRow) -> Outcome:
        """It has ended; returns what stays of it."""
        outcome = Outcome(row)
        tone = TONES.get(row.status, "dim")
        self.outcome = {"op": "ended", "text": repr(outcome), "tone": tone}
        return outcome


def take_answer(
    said: Any,
    tell: Callable[[dict[str, object]], None],
    answer_to: Callable[[str], Answer | None],
) -> None:
    """Take what a view says as an answer; why one does not count is told to the views.

    Args:
        said: From outside: anything.
        tell: The way back to the views.
        answer_to: Takes the answer to a question, by its id; None where there is none.
    """
    if type(said) is not dict or said.get("op") != "answer":
        return
    approval_id, decision = said.get("id"), said.get("decision")
    comment = said.get("comment", "")
    answer = answer_to(approval_id) if type(approval_id) is str else None
    if answer is None or type(decision) is not str or type(comment) is not str:
        decision = None
    if answer is None or decision not in DECISIONS:
        tell({"op": "refused", "id": str(approval_id)[:20], "text": "that is no answer"})
        return
    try:
        answer(decision, comment[:_MOST_COMMENT])
    except FlowError as error:
        tell({"op": "refused", "id": approval_id, "text": error.message})
