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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from flow_kernel.errors import AlreadyDecided, ApprovalPending, StoreError
from flow_kernel.session import approvals_rules as rules
from flow_kernel.session.announcer import Emit, silent
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.approval_text import (
    decision_of,
    level_of,
    need_of,
    title_of,
    ways_to_answer,
)
from flow_kernel.session.cell import OpenCell
from flow_kernel.session.place import Whereabouts
from flow_kernel.store.contract import ApprovalRow, Store

TICK_S: Final = 0.005  # how long an answer of another process goes unseen
_CELLS_COUNTED: Final = 64
_ANSWERS: Final = {
    "yes": "approve",
    "y": "approve",
    "no": "reject",
    "n": "reject",
    "skip": "skip",
}


class Prompter(Protocol):
    """The cell's own way to the person; given by the shell."""

    @property
    def can_ask(self) -> bool:
        """True when the client of the running cell answers requests for input."""

    def ask(self, prompt: str) -> None:
        """Show a box for an answer."""

    def poll(self, timeout_s: float) -> str | None:
        """What was typed into the box, after `timeout_s` at most; None while nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a cell wants to be asked.

    Attributes:
        message: What the person reads.
        payload: JSON that the answer is bound to as well.
        timeout_s: How long it can be answered; None for ever.
        on_timeout: reject, skip or approve.
        park: True ends the cell with ApprovalPending, False waits, None waits where the client
            can be asked.
        source: What the answer is bound to in place of the running cell; the body of a %%approve.
    """

    message: str
    payload: object = None
    timeout_s: float | None = None
    on_timeout: str = "reject"
    park: bool | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalParts:
    """What the questions of a session work with; put together by `session.assembly`.

    Attributes:
        store: The state of the home.
        where: The task and step that cells belong to.
        running: The cell that runs in this thread, if it is recorded.
        prompter: The cell's own way to the person; None where there is none.
        session: 32 hex.
        actor: Who asks, as records name it.
        person: Who answers in the cell's own box.
        now: UTC with milliseconds.
        carry: Brings changes into the log, and the log to the disk.
        redact: Takes secrets out of a text.
        emit: Tells agents.
    """

    store: Store
    where: Whereabouts
    running: Callable[[], OpenCell | None]
    prompter: Prompter | None
    session: str
    actor: str
    person: Callable[[], str]
    now: Callable[[], str]
    carry: Callable[[], object]
    redact: Callable[[str], str]
    emit: Emit = silent


class Approvals:
    """The questions of one session; safe with several threads."""

    def __init__(self, parts: ApprovalParts) -> None:
        self._parts = parts
        self.desk: ApprovalDesk = ApprovalDesk(parts.store, now=parts.now)
        self._ordinals: dict[str, int] = {}
        # Answers given in this process: the store's version only tells of other ones.
        self._given = 0

    def ask(
        self,
        message: str,
        *,
        payload: object = None,
        timeout_s: float | None = None,
        on_timeout: str = "reject",
        park: bool | None = None,
    ) -> bool:
        """True when the answer is yes; see `request` and `Wish`."""
        wish = Wish(
            message=message,
            payload=payload,
            timeout_s=timeout_s,
            on_timeout=on_timeout,
            park=park,
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
        while True:
            row = self._found_or_asked(question)
            if row.is_used:
                self._carry()
                self._parts.emit("approval_decided", **decision_of(row))
                return row
            if row.status == "open":
                self._parts.emit("need_approval", **need_of(row))
            if parks:
                self._carry()
                raise ApprovalPending(
                    f"{title_of(row)} - waits for an answer ({level_of(row)})",
                    approval_id=row.approval_id,
                    hint=f"answer it: {ways_to_answer(row)}, then run this cell again",
                )
            try:
                row = self._wait(row, prompter if can_ask else None)
            except KeyboardInterrupt:
                self._cancel(row)
                raise
            used = row if row.status == "cancelled" else self._used(row)
            if used is not None:
                self._carry()
                self._parts.emit("approval_decided", **decision_of(used))
                return used
            # The same cell runs elsewhere and was faster: this one needs an answer of its own.

    def decide(
        self, approval_id: str, decision: str, *, by: str, channel: str, comment: str = ""
    ) -> ApprovalRow:
        """Answer a question of this home, from any thread; see `ApprovalDesk.decide`."""
        try:
            return self.desk.decide(approval_id, decision, by=by, channel=channel, comment=comment)
        finally:
            self._given += 1

    # -- the question ------------------------------------------------------------------------------

    def _question(self, wish: Wish) -> rules.Question:
        parts = self._parts
        message = rules.checked_message(wish.message)
        rules.checked_terms(wish.timeout_s, wish.on_timeout)
        cell = parts.running()
        source = wish.source
        if source is None and cell is not None:
            source = cell.request.code
        code_sha256 = None if source is None else rules.source_hash(source)
        payload_sha256 = rules.payload_hash(wish.payload)
        place = parts.where.now
        return rules.Question(
            plan_id=place.plan_id,
            task_id=place.task_id,
            step=place.step,
            message=parts.redact(message),
            code_sha256=code_sha256,
            payload_sha256=payload_sha256,
            approval_hash=rules.approval_hash(
                code_sha256=code_sha256,
                message=message,
                payload=wish.payload,
                ordinal=self._ordinal(cell),
            ),
            timeout_s=wish.timeout_s,
            on_timeout=wish.on_timeout,
            requested_by=parts.actor,
            session=parts.session,
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

    def _found_or_asked(self, question: rules.Question) -> ApprovalRow:
        """The question as it is open now, or with an answer that nobody has used before."""
        with self._parts.store.write(is_durable=True) as change:
            at = self._parts.now()
            known = [*change.unused_approvals(question.approval_hash)] if question.is_bound else []
            step = rules.resume(known, question, at=at)
            row = step.found or rules.asked(question, change.new_approval_id(), at=at)
            for changed in (*step.changed, *(() if step.found else (row,))):
                change.put_approval(changed, at=at)
            return row

    # -- the wait ----------------------------------------------------------------------------------

    def _wait(self, row: ApprovalRow, prompter: Prompter | None) -> ApprovalRow:
        """The question once it is no longer open."""
        self._carry()
        _print(_announcement(row))
        store = self._parts.store
        left_s = rules.left_s(row, at=self._parts.now())
        # The clock on the wall may jump; how long we wait does not.
        deadline = None if left_s is None else time.monotonic() + left_s
        seen: tuple[int, int] | None = None
        if prompter is not None:
            prompter.ask(_prompt(row))
        while True:
            version = (store.version(), self._given)
            if version != seen:
                seen = version
                row = self.desk.get(row.approval_id)
            if row.status != "open":
                return row
            if deadline is not None and time.monotonic() >= deadline:
                return self._ended(row, rules.expire)
            if prompter is None:
                time.sleep(TICK_S)
            elif (text := prompter.poll(TICK_S)) is not None:
                self._answered(row, text, prompter)

    def _answered(self, row: ApprovalRow, text: str, prompter: Prompter) -> None:
        """Take what was typed into the box as a decision, or ask again."""
        decision = _ANSWERS.get(text.strip().lower())
        if decision is None:
            prompter.ask(f"Please type yes, no or skip. {_prompt(row)}")
            return
        try:
            self.decide(row.approval_id, decision, by=self._parts.person(), channel="stdin")
        except AlreadyDecided as refused:
            _print(f"{refused.message}\n")

    def _cancel(self, row: ApprovalRow) -> None:
        person = self._parts.person()
        # Whatever the store says: the interrupt has to get through.
        with suppress(StoreError):
            self._ended(
                row,
                lambda open_row, *, at: rules.cancel(
                    open_row, by=person, channel="interrupt", at=at
                ),
            )
        self._carry()

    def _ended(self, row: ApprovalRow, end: "_End") -> ApprovalRow:
        """End an open question; one that was answered meanwhile stays as it is."""
        with self._parts.store.write(is_durable=True) as change:
            at = self._parts.now()
            row = change.approval(row.approval_id) or row
            if row.status == "open":
                row = end(row, at=at)
                change.put_approval(row, at=at)
        return row

    def _used(self, row: ApprovalRow) -> ApprovalRow | None:
        """The answer, used by us; None when another cell has used it."""
        with self._parts.store.write(is_durable=True) as change:
            latest = change.approval(row.approval_id) or row
            if latest.is_used:
                return None
            used = rules.use(latest)
            change.put_approval(used, at=self._parts.now())
        return used

    def _carry(self) -> None:
        # What cannot be written now waits in the outbox; the question itself is safe.
        with suppress(StoreError):
            self._parts.carry()


class _End(Protocol):
    def __call__(self, row: ApprovalRow, /, *, at: str) -> ApprovalRow: ...


def _announcement(row: ApprovalRow) -> str:
    return f"{title_of(row)}\n  {level_of(row)}\n  from elsewhere: {ways_to_answer(row)}\n"


def _prompt(row: ApprovalRow) -> str:
    return f"{row.approval_id}: yes, no or skip? "


def _print(text: str) -> None:
    """Text in the cell's own output; a cell may have closed or replaced the stream."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.write(text)
        sys.stdout.flush()
