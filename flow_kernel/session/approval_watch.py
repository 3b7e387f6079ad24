"""How a cell waits for its answer: of this process, of the store, of its box, of the clock.

Used by `session.approvals`, in the thread of the cell.
"""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from flow_kernel.errors import AlreadyDecided
from flow_kernel.session import approvals_rules as rules
from flow_kernel.session.approval_buttons import Answering
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.approval_parts import ApprovalParts, Prompter
from flow_kernel.session.approval_text import announcement_of, prompt_of, word_and_comment
from flow_kernel.session.approval_waits import Wait
from flow_kernel.store.contract import ApprovalRow

TICK_S: Final = 0.005  # how long an answer of another process goes unseen
_GONE: Final = "gone"
"""The channel by which whoever asked and waits no more takes a question back."""
_ANSWERS: Final = {
    "yes": "approve",
    "y": "approve",
    "no": "reject",
    "n": "reject",
    "skip": "skip",
}


class ApprovalWatch:
    """The waits of one session; safe with several threads.

    Args:
        parts: Of the questions.
        desk: Where they lie.
        decide: Takes what is typed into the box.
    """

    def __init__(self, parts: ApprovalParts, desk: ApprovalDesk, decide: Answering) -> None:
        self._parts = parts
        self._desk = desk
        self._decide = decide

    def until_over(
        self, row: ApprovalRow, wait: Wait, *, prompter: Prompter | None,
        is_wanted: Callable[[], bool],
    ) -> ApprovalRow:  # fmt: skip
        """The question once it is no longer open.

        Args:
            row: The question.
            wait: What an answer of this process is handed to.
            prompter: The box of the cell; None without one.
            is_wanted: False once nobody waits for the answer any more.
        """
        _print(announcement_of(row))
        left_s = rules.left_s(row, at=self._parts.now())
        # The clock on the wall may jump; how long we wait does not.
        deadline = None if left_s is None else time.monotonic() + left_s

        def end_of(now: ApprovalRow) -> Callable[[ApprovalRow], ApprovalRow] | None:
            if now.status != "open":
                return lambda row: row
            if deadline is not None and time.monotonic() >= deadline:
                return self._desk.expire
            if not is_wanted():
                return lambda row: self._desk.take_back(row, by=row.requested_by, channel=_GONE)
            return None

        if prompter is None:
            return self._watched(row, wait, None, end_of)
        prompter.ask(prompt_of(row))
        try:
            return self._watched(row, wait, prompter, end_of)
        finally:
            prompter.done()

    def _watched(
        self, row: ApprovalRow, wait: Wait, prompter: Prompter | None,
        end_of: Callable[[ApprovalRow], Callable[[ApprovalRow], ApprovalRow] | None],
    ) -> ApprovalRow:  # fmt: skip
        parts = self._parts
        seen: tuple[int, int] | None = None
        while True:
            if not wait.is_promised:
                if wait.answer is not None:
                    return wait.answer
                version = (parts.store.version(), wait.looks)
                if version != seen:
                    seen = version
                    with parts.turns.held():
                        row = self._desk.get(row.approval_id)
                end = end_of(row)
                if end is not None and parts.waits.leave(wait):
                    return end(row)
            if prompter is None:
                wait.bell.wait(TICK_S)
                wait.bell.clear()
            elif (text := prompter.poll(TICK_S)) is not None:
                with parts.turns.held():
                    self._answered(row, text, prompter)

    def _answered(self, row: ApprovalRow, text: str, prompter: Prompter) -> None:
        """Take what was typed into the box as a decision, or ask again."""
        word, comment = word_and_comment(text)
        decision = _ANSWERS.get(word.lower())
        if decision is None:
            prompter.ask(f"Please type yes, no or skip. {prompt_of(row)}")
            return
        try:
            by = self._parts.person()
            self._decide(row.approval_id, decision, by=by, channel="stdin", comment=comment)
        except AlreadyDecided as refused:
            _print(f"{refused.message}\n")


def _print(text: str) -> None:
    """Text in the cell's own output; a cell may have closed or replaced the stream."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.write(text)
        sys.stdout.flush()
