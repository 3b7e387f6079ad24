"""What may happen to an approval, and what an answer is good for (pure).

Called by `session.approval_desk` and `session.approvals`, which read and write the rows.

    open ──approve──▶ approved ─┐
    open ──reject───▶ rejected ─┼──use──▶ the same, used: it can serve nobody again
    open ──skip─────▶ skipped  ─┤
    open ──expire───▶ expired, or approved or skipped where the question said so ─┘
    open ──cancel───▶ cancelled

The first valid decision stands. A rerun with the same task and hash uses an answer that was given
while nobody waited, once; see `approval_terms` for the hash.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from flow_kernel.errors import AlreadyDecided, UsageError
from flow_kernel.records.codec import clean_text
from flow_kernel.session.approval_terms import checked_comment
from flow_kernel.store.contract import ApprovalRow

LEVEL: Final = "advisory"
LEVELS: Final = {LEVEL: "code in the same process can get around it"}
STATUSES: Final = ("open", "approved", "rejected", "skipped", "expired", "cancelled")

_DECISIONS: Final = {"approve": "approved", "reject": "rejected", "skip": "skipped"}
_TIMED_OUT: Final = {"approve": "approved", "reject": "expired", "skip": "skipped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, before it has an id.

    Attributes:
        plan_id: Of the task.
        task_id: Of the task.
        step: Name of the step; None outside any.
        message: What the person reads; without secrets, so the hash may be that of another text.
        code_sha256: Of the source; None where nobody knows it.
        payload_sha256: Of the payload; None without one.
        approval_hash: What the answer is bound to.
        timeout_s: How long it can be answered; None for ever.
        on_timeout: reject, skip or approve.
        requested_by: Who asks.
        session: 32 hex.
        code: The source as a person reads it; None where nobody knows it.
        payload: The payload likewise; None without one.
        remind_s: How often to remind; None for never.
    """

    plan_id: str
    task_id: str
    step: str | None
    message: str
    code_sha256: str | None
    payload_sha256: str | None
    approval_hash: str
    timeout_s: float | None
    on_timeout: str
    requested_by: str
    session: str
    code: str | None = None
    payload: str | None = None
    remind_s: float | None = None

    @property
    def is_bound(self) -> bool:
        """False where nobody knows the code: then no earlier answer can be told to be its own."""
        return self.code_sha256 is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What a rerun finds.

    Attributes:
        found: The question, still open or with the answer that the rerun uses; None to ask anew.
        changed: Rows that are different from now on.
    """

    found: ApprovalRow | None = None
    changed: tuple[ApprovalRow, ...] = ()


# -- the question and its answer -----------------------------------------------------------------


def asked(question: Question, approval_id: str, *, at: str) -> ApprovalRow:
    """The open question under its id."""
    return ApprovalRow(
        approval_id=approval_id,
        plan_id=question.plan_id,
        task_id=question.task_id,
        step=question.step,
        message=question.message,
        code_sha256=question.code_sha256,
        payload_sha256=question.payload_sha256,
        approval_hash=question.approval_hash,
        level=LEVEL,
        requested_by=question.requested_by,
        requested_at=at,
        session=question.session,
        expires_at=None if question.timeout_s is None else later(at, question.timeout_s),
        on_timeout=question.on_timeout,
        code=question.code,
        payload=question.payload,
        remind_s=question.remind_s,
        next_remind_at=None if question.remind_s is None else later(at, question.remind_s),
    )


def decide(
    row: ApprovalRow, decision: str, *, by: str, channel: str, comment: str, at: str
) -> ApprovalRow:
    """`row` with its answer.

    Args:
        row: As it is in the store now.
        decision: approve, reject or skip.
        by: Who answers.
        channel: How: cli, stdin, …
        comment: What they add, or nothing.
        at: The time, UTC with milliseconds.

    Raises:
        AlreadyDecided: It was answered before, or its time is over.
        UsageError: There is no such decision, or nobody is named.
    """
    if decision not in _DECISIONS:
        raise UsageError(f'"{decision[:40]}" is no decision', hint="approve, reject or skip")
    name = clean_text(" ".join(by.split()))[:200]
    if not name:
        raise UsageError("a decision needs the name of who makes it", hint="try: --as NAME")
    if row.status != "open":
        raise refusal(row)
    if is_overdue(row, at=at):
        raise refusal(expire(row, at=at))
    return replace(
        row,
        status=_DECISIONS[decision],
        decided_by=name,
        decided_at=at,
        channel=channel,
        comment=checked_comment(comment),
        next_remind_at=None,
    )


def expire(row: ApprovalRow, *, at: str) -> ApprovalRow:
    """`row` once its time is over: what the question said has happened."""
    if row.status != "open":
        raise refusal(row)
    return replace(
        row,
        status=_TIMED_OUT[row.on_timeout],
        decided_by="timeout",
        decided_at=at,
        channel="timeout",
        next_remind_at=None,
    )


def cancel(row: ApprovalRow, *, by: str, channel: str, at: str) -> ApprovalRow:
    """`row` taken back by who asked; nothing will come of it."""
    if row.status != "open":
        raise refusal(row)
    return replace(
        row,
        status="cancelled",
        decided_by=by,
        decided_at=at,
        channel=channel,
        next_remind_at=None,
    )


def give_back(row: ApprovalRow) -> ApprovalRow:
    """`row` once the cell that acted on its answer has ended at a later question of its own.

    The rerun of that cell begins at the top again, so it is to find the answer.
    """
    return replace(row, is_used=False)


def use(row: ApprovalRow) -> ApprovalRow:
    """`row` once a cell acts on its answer.

    Raises:
        AlreadyDecided: There is no answer, or another cell has used it.
    """
    if row.is_used or row.status in ("open", "cancelled"):
        raise refusal(row)
    return replace(row, is_used=True)


def resume(known: Iterable[ApprovalRow], question: Question, *, at: str) -> Resumed:
    """What `question` finds among the approvals with its hash that nobody has used.

    An answer is used. A question that is open under the same terms goes on. One that is open under
    others is taken back, so that no late answer to it is taken for one to the new question.
    """
    changed: list[ApprovalRow] = []
    for row in known:
        if matches(row, question):
            current = expire(row, at=at) if is_overdue(row, at=at) else row
            if current.status == "open":
                return Resumed(found=current, changed=(*changed,))
            used = use(current)
            return Resumed(found=used, changed=(*changed, used))
        if row.status == "open" and _is_of(row, question):
            changed.append(cancel(row, by=question.requested_by, channel="replaced", at=at))
    return Resumed(changed=(*changed,))


def is_overdue(row: ApprovalRow, *, at: str) -> bool:
    """True when the question can no longer be answered; times of one form compare as texts."""
    return row.status == "open" and row.expires_at is not None and at >= row.expires_at


def matches(row: ApprovalRow, question: Question) -> bool:
    """True when the answer of `row`, or the one that is still to come, is one to `question`.

    The hash stands for code, message, payload and place in the cell. Where no person has answered
    the terms have to be the same, too: the end of another timeout is no answer to this question.
    """
    is_answered = row.status != "open" and row.channel != "timeout"
    return (
        not row.is_used
        and row.status != "cancelled"
        and _is_of(row, question)
        and (is_answered or _has_terms(row, question))
    )


def left_s(row: ApprovalRow, *, at: str) -> float | None:
    """How long the question can still be answered, in seconds; None for ever."""
    if row.expires_at is None:
        return None
    left = datetime.fromisoformat(row.expires_at) - datetime.fromisoformat(at)
    return max(left.total_seconds(), 0.0)


def later(at: str, seconds: float) -> str:
    """A time, UTC with milliseconds, so many seconds after another."""
    when = datetime.fromisoformat(at) + timedelta(seconds=seconds)
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unbound(question: Question) -> UsageError:
    """Why a question cannot be parked: no answer could be bound to the code that asks."""
    return UsageError(
        f"nobody knows the code that asks {question.message[:60]!r}, because it is not recorded,"
        " so a rerun could not be told to be the same; nothing was asked",
        hint="ask from a recorded cell, or with --wait",
    )


def refusal(row: ApprovalRow) -> AlreadyDecided:
    """Why `row` takes no answer: who was first, when and how."""
    if row.channel == "timeout":
        what = f"expired at {row.expires_at}; {row.on_timeout} stands"
    elif row.status == "cancelled":
        what = f"was cancelled at {row.decided_at}"
    elif row.status == "open":
        what = "has no answer yet"
    else:
        used = " and was used" if row.is_used else ""
        who = f"{row.decided_by} at {row.decided_at} ({row.channel})"
        what = f"was already {row.status} by {who}{used}"
    return AlreadyDecided(
        f"{row.approval_id} {what}; nothing was changed",
        approval_id=row.approval_id,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


# -- inside --------------------------------------------------------------------------------------


def _is_of(row: ApprovalRow, question: Question) -> bool:
    return (row.approval_hash, row.plan_id, row.task_id) == (
        question.approval_hash,
        question.plan_id,
        question.task_id,
    )


def _has_terms(row: ApprovalRow, question: Question) -> bool:
    expires_at = None if question.timeout_s is None else later(row.requested_at, question.timeout_s)
    return (row.on_timeout, row.expires_at) == (question.on_timeout, expires_at)
