"""The questions that a session asks: recorded, waited for, parked, used.

Called by the `%approve` magics and by users through `flow_kernel.current_session()`.

    request ─▶ an answer that was given while nobody waited ─▶ used
            ─▶ the question, new or still open ─▶ park: ApprovalPending, a rerun goes on
                                               └▶ wait: a box in the cell, the command line, …

What an answer means is decided in `approvals_rules`. Whoever answers writes to the store; the
waiter watches the store, so all ways to answer are alike and the first valid one wins. One that is
given in its own process is handed to it as well (`approval_waits`). Power loss cannot undo an
answer: it is synced to the disk when it is given, and when it is used.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Final

from flow_kernel.errors import ApprovalPending, StoreError
from flow_kernel.session import approval_terms as terms
from flow_kernel.session import approvals_rules as rules
from flow_kernel.session.approval_buttons import shown_while_open
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.approval_parts import ApprovalParts, Prompter, Wish
from flow_kernel.session.approval_tasks import put_approval
from flow_kernel.session.approval_text import (
    decision_of,
    level_of,
    need_of,
    title_of,
    ways_to_answer,
)
from flow_kernel.session.approval_waits import Wait
from flow_kernel.session.approval_watch import ApprovalWatch
from flow_kernel.session.cell import OpenCell
from flow_kernel.session.person import name_of
from flow_kernel.session.reminders import Reminders
from flow_kernel.store.contract import ApprovalRow, Writing

_CELLS_COUNTED: Final = 64


class Approvals:
    """The questions of one session; safe with several threads."""

    def __init__(self, parts: ApprovalParts) -> None:
        self._parts = parts
        self.desk: ApprovalDesk = ApprovalDesk(parts.store, now=parts.now, redact=parts.redact)
        self.reminders: Reminders = Reminders(
            parts.store, now=parts.now, tell=self._remind, carry=self._log
        )
        self._watch = ApprovalWatch(parts, self.desk, self.decide)
        self._ordinals: dict[str, int] = {}
        # The answers that each run of a cell has used, by the request that runs it.
        self._used_by: dict[str, list[str]] = {}

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
        asked: list[ApprovalRow] = []
        try:
            while True:
                row = self._found_or_asked(question, cell, asked, parks=parks)
                if row.is_used:
                    return self._told(row)
                if row.next_remind_at is not None:
                    self.reminders.watch()
                if row.status == "open":
                    self._parts.emit("need_approval", **need_of(row))
                if parks:
                    raise self._parked(row)
                used = self._awaited(row, prompter if can_ask else None, wish.is_wanted, cell)
                if used is not None:
                    return used
                # The same cell runs elsewhere and was faster: this one needs an answer of its own.
        except KeyboardInterrupt:
            if not parks:
                self._gone(asked[-1:])
            raise

    def decide(
        self, approval_id: str, decision: str, *, by: str, channel: str, comment: str = ""
    ) -> ApprovalRow:
        """Answer a question of this home, from any thread; see `ApprovalDesk.decide`.

        A cell of this process that waits for it goes on at once; it has used it then.
        """
        parts = self._parts
        try:
            with parts.waits.promised(approval_id) as wait:
                row = self.desk.decide(
                    approval_id,
                    decision,
                    by=by,
                    channel=channel,
                    comment=comment,
                    used_for=None if wait is None else wait.expect,
                )
                if wait is not None:
                    wait.answer = row
                    self._carry()  # its lines stand before those of the cell that goes on
        finally:
            # Others may ask the same; also where it has ended just now, by its time.
            parts.waits.look_again()
        if wait is not None:
            parts.sync()
        return row

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
            return self.desk.take_back(row, by=by, channel=channel)
        finally:
            self._parts.waits.look_again()

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
        self, question: rules.Question, cell: OpenCell | None, asked: list[ApprovalRow], *,
        parks: bool,
    ) -> ApprovalRow:  # fmt: skip
        """The question as it is open now, or with an answer that nobody has used before.

        A cell that parks here begins at its top again: the answers that this run of it has used
        are there for the rerun, and stay used by every run that comes to its end.

        Args:
            question: It.
            cell: That asks.
            asked: Has it before it is committed: an interrupt can come right behind that.
            parks: True where nobody waits.
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
            asked.append(row)
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

    def _parked(self, row: ApprovalRow) -> ApprovalPending:
        """Nobody waits: what to say of the question, which is in the log."""
        self._log()
        return ApprovalPending(
            f"{title_of(row)} - waits for an answer ({level_of(row)})",
            approval_id=row.approval_id,
            hint=f"answer it: {ways_to_answer(row)}, then run this cell again",
        )

    # -- the wait ----------------------------------------------------------------------------------

    def _awaited(
        self, row: ApprovalRow, prompter: Prompter | None, is_wanted: Callable[[], bool],
        cell: OpenCell | None,
    ) -> ApprovalRow | None:  # fmt: skip
        """The answer, told and used; None when another cell has used it."""
        parts = self._parts
        wake = _no_box if prompter is None else prompter.wake
        with parts.waits.waiting(row.approval_id, wake) as wait, ExitStack() as going_on:
            with shown_while_open(
                parts.buttons,
                row,
                decide=parts.answer or self.decide,
                person=parts.person,
                look=self.desk.get,
            ) as ended:
                try:
                    self._log()
                    row = self._watch.until_over(row, wait, prompter=prompter, is_wanted=is_wanted)
                    going_on.enter_context(parts.turns.held())
                    ended.append(row)
                except BaseException as error:
                    self._stopped(row, wait, error)
                    raise
            if row is wait.answer:
                self._used_in(cell).append(row.approval_id)
                return self._announced(row)
            parts.waits.look_again()  # whoever asks the same: it may have ended in this thread
            used = row if row.status == "cancelled" else self.desk.use_answer(row)
            if used is None:
                return None
            if used.is_used:
                self._used_in(cell).append(used.approval_id)
            return self._told(used)

    def _stopped(self, row: ApprovalRow, wait: Wait, error: BaseException) -> None:
        """The cell leaves without an answer: an interrupt, or an error of a signal handler."""
        parts = self._parts
        person = parts.person()
        # Whatever the store says: what stops the cell has to get through.
        with suppress(StoreError):
            parts.waits.settle(wait)
            if isinstance(error, KeyboardInterrupt):
                row = self.desk.take_back(row, by=person, channel="interrupt")
            if wait.meant is not None:
                row = self.desk.give_back(row, lambda: wait.meant)
            if row.status != "open":
                parts.emit("approval_decided", **decision_of(row))
        parts.waits.look_again()
        self._log()

    def _gone(self, asked: Sequence[ApprovalRow]) -> None:
        """An interrupt ends the cell: the question too, where it came before the wait."""
        parts = self._parts
        with suppress(StoreError):
            for row in asked:
                if self.desk.take_back_asked(row, by=parts.person(), channel="interrupt"):
                    parts.emit("approval_decided", **decision_of(self.desk.get(row.approval_id)))
        parts.waits.look_again()
        self._log()

    def _told(self, row: ApprovalRow) -> ApprovalRow:
        """The answer, in the log and announced."""
        self._log()
        return self._announced(row)

    def _announced(self, row: ApprovalRow) -> ApprovalRow:
        self._parts.emit("approval_decided", **decision_of(row))
        if row.status == "approved":
            self._parts.on_approved(row)
        return row

    def _remind(self, row: ApprovalRow) -> None:
        self._parts.emit(
            "approval_reminder", id=row.approval_id, msg=row.message, count=row.reminded
        )
        self._parts.remind(row)

    def _log(self) -> None:
        self._carry()
        self._parts.sync()

    def _carry(self) -> None:
        # What cannot be written now waits in the outbox; the question itself is safe.
        with suppress(StoreError):
            self._parts.carry()


def _no_box() -> None:
    """Nothing has to be woken beside the cell itself."""
