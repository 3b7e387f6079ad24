"""The questions that a session asks: recorded, waited for, parked, used.

Called by the `%approve` magics and by users through `flow_kernel.current_session()`.

    request ─▶ an answer that was given while nobody waited ─▶ used
            ─▶ the question, new or still open ─▶ park: ApprovalPending, a rerun goes on
                                               └▶ wait: a box in the cell, the command line, …

What an answer means is decided in `approvals_rules`. Whoever answers writes to the store; the
waiter watches the store, so all ways to answer are alike and the first valid one wins. Power loss
cannot undo an answer: it is synced to the disk when it is given, and again when it is used.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from flow_kernel.errors import AlreadyDecided, ApprovalPending, StoreError
from flow_kernel.session import approval_terms as terms
from flow_kernel.session import approvals_rules as rules
from flow_kernel.session.approval_buttons import shown_while_open
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.approval_parts import ApprovalParts, Prompter, Wish
from flow_kernel.session.approval_tasks import put_approval
from flow_kernel.session.approval_text import (
    announcement_of,
    decision_of,
    level_of,
    need_of,
    prompt_of,
    title_of,
    ways_to_answer,
    word_and_comment,
)
from flow_kernel.session.cell import OpenCell
from flow_kernel.session.person import name_of
from flow_kernel.session.reminders import Reminders
from flow_kernel.store.contract import ApprovalRow, Writing

TICK_S: Final = 0.005  # how long an answer of another process goes unseen
_CELLS_COUNTED: Final = 64
_GONE: Final = "gone"
"""The channel by which whoever asked and waits no more takes a question back."""
_ANSWERS: Final = {
    "yes": "approve",
    "y": "approve",
    "no": "reject",
    "n": "reject",
    "skip": "skip",
}


class Approvals:
    """The questions of one session; safe with several threads."""

    def __init__(self, parts: ApprovalParts) -> None:
        self._parts = parts
        self.desk: ApprovalDesk = ApprovalDesk(parts.store, now=parts.now, redact=parts.redact)
        self.reminders: Reminders = Reminders(
            parts.store, now=parts.now, tell=self._remind, carry=self._carry
        )
        self._ordinals: dict[str, int] = {}
        # The answers that each run of a cell has used, by the request that runs it.
        self._used_by: dict[str, list[str]] = {}
        # Answers given in this process: the store's version only tells of other ones.
        self._given = 0
        # What they were, for the cell that waits: it need not read what was just written.
        self._answers: dict[str, ApprovalRow] = {}

    def ask(
        self,
        message: str,
        *,
        payload: object = None,
        timeout_s: float | None = None,
        on_timeout: str = "reject",
        park: bool | None = None,
        remind_s: float | None = None,
    ) -> bool:
        """True when the answer is yes; see `request` and `Wish`."""
        wish = Wish(
            message=message,
            payload=payload,
            timeout_s=timeout_s,
            on_timeout=on_timeout,
            park=park,
            remind_s=remind_s,
        )
        return self.request(wish).status == "approved"

    def request(self, wish: Wish) -> ApprovalRow:
        """Ask, and give the answer; it is used by this call and by no other.

        Args:
            wish: What is asked.

        Returns:
            The question with its answer: approved, rejected, skipped, expired or cancelled.

        Raises:
            ApprovalPending: It is parked: recorded, and nobody waits.
            UsageError: The message, the payload or the terms cannot be used; nothing was asked.
            StoreError: The store of the home cannot be written; nothing was asked.
            KeyboardInterrupt: The wait was interrupted; the question is cancelled.
        """
        prompter = self._parts.prompter
        can_ask = prompter is not None and prompter.can_ask
        parks = not can_ask if wish.park is None else wish.park
        question = self._question(wish)
        if parks and not question.is_bound:
            raise rules.unbound(question)
        cell = self._parts.running()
        while True:
            row = self._found_or_asked(question, cell, parks=parks)
            if row.is_used:
                return self._told(row)
            if row.next_remind_at is not None:
                self.reminders.watch()
            if row.status == "open":
                self._parts.emit("need_approval", **need_of(row))
            if parks:
                self._carry()
                raise ApprovalPending(
                    f"{title_of(row)} - waits for an answer ({level_of(row)})",
                    approval_id=row.approval_id,
                    hint=f"answer it: {ways_to_answer(row)}, then run this cell again",
                )
            with shown_while_open(
                self._parts.buttons,
                row,
                decide=self._parts.answer or self.decide,
                person=self._parts.person,
                look=self.desk.get,
            ) as ended:
                try:
                    row = self._wait(row, prompter if can_ask else None, wish.is_wanted)
                    ended.append(row)
                except KeyboardInterrupt:
                    self._cancel(row)
                    raise
            used = row if row.status == "cancelled" else self._used(row, cell)
            if used is not None:
                return self._told(used)
            # The same cell runs elsewhere and was faster: this one needs an answer of its own.

    def decide(
        self, approval_id: str, decision: str, *, by: str, channel: str, comment: str = ""
    ) -> ApprovalRow:
        """Answer a question of this home, from any thread; see `ApprovalDesk.decide`."""
        row: ApprovalRow | None = None
        try:
            row = self.desk.decide(approval_id, decision, by=by, channel=channel, comment=comment)
        finally:
            self.given(row)
        return row

    def given(self, row: ApprovalRow | None) -> None:
        """A question has ended, in this process: whoever waits for it looks at once.

        Args:
            row: It, with its answer; None where somebody has to look.
        """
        self._given += 1
        if row is not None:
            self._answers[row.approval_id] = row
            if len(self._answers) > _CELLS_COUNTED:
                self._answers.pop(next(iter(self._answers)), None)

    def approved(self, row: ApprovalRow) -> None:
        """What was approved is about to run."""
        self._parts.on_approved(row)

    def withdraw(self, approval_id: str, *, by: str, channel: str) -> ApprovalRow:
        """Take a question back, from any thread; whoever waits for it is told.

        Returns:
            The question; it is `cancelled` unless it had ended before.

        Raises:
            UsageError: That is no approval id.
            NotFound: There is no such question.
        """
        row = self.desk.get(approval_id)
        try:
            return self._taken_back(row, by=by, channel=channel)
        finally:
            self.given(None)

    def use(self, approval_id: str, *, by: str) -> ApprovalRow | None:
        """The answer to a question of `by`, used by this call; see `ApprovalDesk.use`."""
        row = self.desk.use(approval_id, by=by)
        return None if row is None else self._told(row)

    # -- the question ------------------------------------------------------------------------------

    def _question(self, wish: Wish) -> rules.Question:
        parts = self._parts
        message = terms.checked_message(wish.message)
        terms.checked_terms(wish.timeout_s, wish.on_timeout)
        terms.checked_reminder(wish.remind_s)
        cell = parts.running()
        source = wish.source
        if source is None and cell is not None:
            source = cell.request.code
        code_sha256 = None if source is None else terms.source_hash(source)
        payload_sha256 = terms.payload_hash(wish.payload)
        place = parts.where.now
        return rules.Question(
            plan_id=place.plan_id,
            task_id=place.task_id,
            step=place.step,
            message=parts.redact(message),
            code_sha256=code_sha256,
            payload_sha256=payload_sha256,
            approval_hash=terms.approval_hash(
                code_sha256=code_sha256,
                message=message,
                payload=wish.payload,
                ordinal=self._ordinal(cell) if wish.ordinal is None else wish.ordinal,
            ),
            timeout_s=wish.timeout_s,
            on_timeout=wish.on_timeout,
            requested_by=wish.by or name_of(parts.actor),
            session=parts.session,
            code=None if source is None else terms.shown_code(source, parts.redact),
            payload=terms.shown_payload(wish.payload, parts.redact),
            remind_s=wish.remind_s,
        )

    def _ordinal(self, cell: OpenCell | None) -> int:
        """How many questions the cell has asked, this one included."""
        if cell is None:
            return 1
        counted = self._ordinals
        counted[cell.span_id] = number = counted.pop(cell.span_id, 0) + 1
        if len(counted) > _CELLS_COUNTED:
            del counted[next(iter(counted))]
        return number

    def _found_or_asked(
        self, question: rules.Question, cell: OpenCell | None, *, parks: bool
    ) -> ApprovalRow:
        """The question as it is open now, or with an answer that nobody has used before.

        A cell that parks here begins at its top again: the answers that this run of it has used
        are there for the rerun, and stay used by every run that comes to its end.
        """
        with self._parts.store.write(is_durable=True) as change:
            at = self._parts.now()
            known = [*change.unused_approvals(question.approval_hash)] if question.is_bound else []
            step = rules.resume(known, question, at=at)
            row = step.found or rules.asked(question, change.new_approval_id(), at=at)
            for changed in (*step.changed, *(() if step.found else (row,))):
                put_approval(change, changed, at=at)
            if parks and not row.is_used:
                self._give_back(change, self._used_in(cell), at=at)
        if row.is_used:
            self._used_in(cell).append(row.approval_id)
        elif parks:
            self._used_in(cell).clear()
        return row

    def _give_back(self, change: Writing, ids: Sequence[str], *, at: str) -> None:
        for approval_id in ids:
            row = change.approval(approval_id)
            if row is not None and row.is_used:
                put_approval(change, rules.give_back(row), at=at)

    def _used_in(self, cell: OpenCell | None) -> list[str]:
        """The answers that the run of `cell` has used, nested cells included."""
        if cell is None:
            return []
        known = self._used_by
        known[cell.key] = ids = known.pop(cell.key, [])
        if len(known) > _CELLS_COUNTED:
            del known[next(iter(known))]
        return ids

    # -- the wait ----------------------------------------------------------------------------------

    def _wait(
        self, row: ApprovalRow, prompter: Prompter | None, is_wanted: Callable[[], bool]
    ) -> ApprovalRow:
        """The question once it is no longer open."""
        self._carry()
        _print(announcement_of(row))
        left_s = rules.left_s(row, at=self._parts.now())
        # The clock on the wall may jump; how long we wait does not.
        deadline = None if left_s is None else time.monotonic() + left_s
        if prompter is None:
            return self._watched(row, None, deadline, is_wanted)
        prompter.ask(prompt_of(row))
        try:
            return self._watched(row, prompter, deadline, is_wanted)
        finally:
            prompter.done()

    def _watched(
        self, row: ApprovalRow, prompter: Prompter | None, deadline: float | None,
        is_wanted: Callable[[], bool],
    ) -> ApprovalRow:  # fmt: skip
        store = self._parts.store
        seen: tuple[int, int] | None = None
        while True:
            if (answered := self._answers.pop(row.approval_id, None)) is not None:
                return answered
            version = (store.version(), self._given)
            if version != seen:
                seen = version
                row = self.desk.get(row.approval_id)
            if row.status != "open":
                return row
            if deadline is not None and time.monotonic() >= deadline:
                return self._ended(row, rules.expire)
            if not is_wanted():
                return self._taken_back(row, by=row.requested_by, channel=_GONE)
            if prompter is None:
                time.sleep(TICK_S)
            elif (text := prompter.poll(TICK_S)) is not None:
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
            self.decide(row.approval_id, decision, by=by, channel="stdin", comment=comment)
        except AlreadyDecided as refused:
            _print(f"{refused.message}\n")

    def _cancel(self, row: ApprovalRow) -> None:
        person = self._parts.person()
        # Whatever the store says: the interrupt has to get through.
        with suppress(StoreError):
            row = self._taken_back(row, by=person, channel="interrupt")
            self._parts.emit("approval_decided", **decision_of(row))
        self._carry()

    def _taken_back(self, row: ApprovalRow, *, by: str, channel: str) -> ApprovalRow:
        return self._ended(
            row, lambda open_row, *, at: rules.cancel(open_row, by=by, channel=channel, at=at)
        )

    def _ended(self, row: ApprovalRow, end: Callable[..., ApprovalRow]) -> ApprovalRow:
        """End an open question; one that was answered meanwhile stays as it is."""
        with self._parts.store.write(is_durable=True) as change:
            at = self._parts.now()
            row = change.approval(row.approval_id) or row
            if row.status == "open":
                row = end(row, at=at)
                put_approval(change, row, at=at)
        return row

    def _used(self, row: ApprovalRow, cell: OpenCell | None) -> ApprovalRow | None:
        """The answer, used by us; None when another cell has used it."""
        with self._parts.store.write(is_durable=True) as change:
            at = self._parts.now()
            latest = change.approval(row.approval_id) or row
            if rules.is_overdue(latest, at=at):
                latest = rules.expire(latest, at=at)
            if latest.is_used or latest.status == "open":
                return None
            used = rules.use(latest)
            put_approval(change, used, at=at)
        self._used_in(cell).append(used.approval_id)
        return used

    def _told(self, row: ApprovalRow) -> ApprovalRow:
        """The answer, in the log and announced."""
        self._carry()
        self._parts.emit("approval_decided", **decision_of(row))
        if row.status == "approved":
            self._parts.on_approved(row)
        return row

    def _remind(self, row: ApprovalRow) -> None:
        self._parts.emit(
            "approval_reminder", id=row.approval_id, msg=row.message, count=row.reminded
        )
        self._parts.remind(row)

    def _carry(self) -> None:
        # What cannot be written now waits in the outbox; the question itself is safe.
        with suppress(StoreError):
            self._parts.carry()


def _print(text: str) -> None:
    """Text in the cell's own output; a cell may have closed or replaced the stream."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.write(text)
        sys.stdout.flush()
