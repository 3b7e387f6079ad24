"""Where the questions of a home are found and answered, by any process.

Called by `session.approvals`, `session.beside` and by `jupyter flow approvals | approve | reject`.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from flow_kernel.errors import NotFound
from flow_kernel.session import approvals_rules as rules
from flow_kernel.session.approval_tasks import put_approval
from flow_kernel.session.approval_terms import checked_id
from flow_kernel.store.contract import ApprovalRow, Reading, Store
from flow_kernel.store.pages import Page

_LOOKED_AT: Final = 20_000


class ApprovalPlace(NamedTuple):
    """Where a page of questions ended.

    Attributes:
        is_open: True among those that can be answered.
        approval_id: The last one; None before the first.
    """

    is_open: bool
    approval_id: str | None


class ApprovalDesk:
    """The questions of one home; safe with several threads and processes.

    Args:
        store: The state of the home.
        now: UTC with milliseconds.
        redact: Takes secrets out of a comment.
    """

    def __init__(
        self, store: Store, *, now: Callable[[], str], redact: Callable[[str], str]
    ) -> None:
        self._store = store
        self._redact = redact
        self._now = now

    def open_of(self, session: str, *, limit: int) -> list[ApprovalRow]:
        """The newest open questions that a session has asked, in the order of asking."""
        at = self._now()
        with self._store.read() as view:
            rows = view.newest_open_approvals(session, limit=limit)
        return [row for row in rows if _as_seen(row, at).status == "open"]

    def list(self, *, status: str | None = None) -> list[ApprovalRow]:
        """The questions in the order in which they were asked; one whose time is over says so."""
        at = self._now()
        with self._store.read() as view:
            rows = [_as_seen(row, at) for row in view.approvals()]
        return [row for row in rows if status in (None, row.status)]

    def page(
        self, *, status: str | None = None, place: ApprovalPlace | None = None, limit: int
    ) -> Page[ApprovalRow, ApprovalPlace]:
        """The open questions and then all others, each newest first; see `store.pages`.

        Args:
            status: Only those with this status.
            place: The `last` of the page before.
            limit: How many; fewer where few of those that were looked at match.
        """
        at, rows = self._now(), []
        is_open, before = place or ApprovalPlace(status in (None, "open"), None)
        with self._store.read() as view:
            if is_open:
                found = view.open_approval_page(at=at, before=before, limit=limit)
                rows, before = found.rows, None
                if found.last is not None:
                    return Page(rows=rows, last=ApprovalPlace(True, found.last))
                if status == "open":
                    return Page(rows=rows, last=None)
            found = view.other_approval_page(
                # One whose time is over is still open in the store.
                () if status is None else (status, "open"),
                at=at,
                before=before,
                limit=limit - len(rows),
                looked_at=_LOOKED_AT,
            )
        seen = [_as_seen(row, at) for row in found.rows]
        return Page(
            rows=[*rows, *(row for row in seen if status in (None, row.status))],
            last=None if found.last is None else ApprovalPlace(False, found.last),
        )

    def count_open(self) -> int:
        """How many questions can be answered now."""
        with self._store.read() as view:
            return view.count_open_approvals(at=self._now())

    def of_task(self, plan_id: str, task_id: str, *, limit: int) -> Sequence[ApprovalRow]:
        """The newest questions of a task, in the order in which they were asked."""
        at = self._now()
        with self._store.read() as view:
            rows = view.approvals_of(plan_id, task_id, limit=limit)
        return [_as_seen(row, at) for row in rows]

    def get(self, approval_id: str) -> ApprovalRow:
        """One question; one whose time is over says so.

        Raises:
            UsageError: That is no approval id.
            NotFound: There is no such question.
        """
        with self._store.read() as view:
            return _as_seen(_known(view, checked_id(approval_id)), self._now())

    def decide(
        self,
        approval_id: str,
        decision: str,
        *,
        by: str,
        channel: str,
        comment: str = "",
        used_for: Callable[[ApprovalRow], object] | None = None,
    ) -> ApprovalRow:
        """Answer a question: approve, reject or skip.

        The answer is on the disk, power loss or not, before anybody acts on it.

        Args:
            approval_id: The question.
            decision: One of these words.
            by: Who answers.
            channel: How.
            comment: What they add, or nothing.
            used_for: Use it as well, for a cell that waits for this very answer; called with it
                before it is committed.

        Raises:
            UsageError: That is no approval id, no decision, or nobody is named.
            NotFound: There is no such question.
            AlreadyDecided: Another answer was first, or the time is over.
        """
        approval_id = checked_id(approval_id)
        comment = self._redact(comment)
        with self._store.write(is_durable=True) as change:
            # Read under the lock of the writers: two answers cannot both find it open.
            at = self._now()
            row = _known(change, approval_id)
            is_late = rules.is_overdue(row, at=at)
            if is_late:
                row = rules.expire(row, at=at)
            else:
                row = rules.decide(row, decision, by=by, channel=channel, comment=comment, at=at)
            put_approval(change, row, at=at)
            if used_for is not None and not is_late:
                row = rules.use(row)
                change.put_approval(row, at=at)
                used_for(row)
        if is_late:
            raise rules.refusal(row)
        return row

    def use(self, approval_id: str, *, by: str) -> ApprovalRow | None:
        """The answer to a question that `by` has asked, used by this call.

        Returns:
            None where it is open, used already, or a question of somebody else.

        Raises:
            UsageError: That is no approval id.
            NotFound: There is no such question.
        """
        approval_id = checked_id(approval_id)
        with self._store.write(is_durable=True) as change:
            at = self._now()
            row = _as_seen(_known(change, approval_id), at)
            if row.requested_by != by or row.is_used or row.status in ("open", "cancelled"):
                return None
            row = rules.use(row)
            put_approval(change, row, at=at)
        return row

    def use_answer(self, row: ApprovalRow) -> ApprovalRow | None:
        """The answer to a question whose cell has waited; None when another cell has used it."""
        with self._store.write(is_durable=True) as change:
            at = self._now()
            latest = _as_seen(change.approval(row.approval_id) or row, at)
            if latest.is_used or latest.status == "open":
                return None
            used = rules.use(latest)
            put_approval(change, used, at=at)
        return used

    def give_back(self, row: ApprovalRow, meant: Callable[[], ApprovalRow | None]) -> ApprovalRow:
        """An answer that was used for a cell which did not act on it: the next run of it will.

        Args:
            row: The question.
            meant: The answer that may have been used for the cell, asked for once no other
                transaction goes on. What another cell has used stays used.
        """
        with self._store.write(is_durable=True) as change:
            row = change.approval(row.approval_id) or row
            if row.is_used and row == meant():
                row = rules.give_back(row)
                put_approval(change, row, at=self._now())
        return row

    def expire(self, row: ApprovalRow) -> ApprovalRow:
        """End an open question whose time is over; see `take_back`."""
        return self._ended(row, rules.expire)

    def take_back(self, row: ApprovalRow, *, by: str, channel: str) -> ApprovalRow:
        """End an open question; one that was answered meanwhile stays as it is."""
        return self._ended(
            row, lambda open_row, *, at: rules.cancel(open_row, by=by, channel=channel, at=at)
        )

    def take_back_asked(self, row: ApprovalRow, *, by: str, channel: str) -> bool:
        """End a question whose transaction may have been interrupted before it was committed.

        Its number is then that of no question, or of another one.

        Returns:
            True where it was open, and has ended.
        """
        with self._store.write(is_durable=True) as change:
            there = change.approval(row.approval_id)
            if there is None or there.status != "open" or not _is_same(there, row):
                return False
            put_approval(
                change,
                rules.cancel(there, by=by, channel=channel, at=self._now()),
                at=self._now(),
            )
        return True

    def _ended(self, row: ApprovalRow, end: Callable[..., ApprovalRow]) -> ApprovalRow:
        with self._store.write(is_durable=True) as change:
            at = self._now()
            row = change.approval(row.approval_id) or row
            if row.status == "open":
                row = end(row, at=at)
                put_approval(change, row, at=at)
        return row


def _known(view: Reading, approval_id: str) -> ApprovalRow:
    row = view.approval(approval_id)
    if row is None:
        raise NotFound(
            f"there is no approval {approval_id}; nothing was changed",
            hint="see: jupyter flow approvals",
        )
    return row


def _is_same(one: ApprovalRow, other: ApprovalRow) -> bool:
    """True for two states of one question."""
    return (one.session, one.requested_at, one.approval_hash) == (
        other.session, other.requested_at, other.approval_hash,
    )  # fmt: skip


def _as_seen(row: ApprovalRow, at: str) -> ApprovalRow:
    """`row`, with the outcome of a timeout that no process has written down yet."""
    return rules.expire(row, at=row.expires_at or at) if rules.is_overdue(row, at=at) else row
