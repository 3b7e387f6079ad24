"""When a person is reminded of an open question (pure).

Called by `session.reminders`, which reads and writes the rows.

    open, due        ──▶ reminded once more; the next one is a whole interval from now
    open, overdue    ──▶ ended as the question said
    open, far off    ──▶ the clock was set back: the next one is a whole interval from now

However long nobody looked, and however far the clock jumped, one look gives one reminder.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from flow_kernel.session.approvals_rules import expire, is_overdue, later
from flow_kernel.store.contract import ApprovalRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at the open questions finds.

    Attributes:
        changed: Rows that are different from now on.
        due: Those of them that are to be told to a person.
    """

    changed: tuple[ApprovalRow, ...] = ()
    due: tuple[ApprovalRow, ...] = ()


def look(rows: Iterable[ApprovalRow], *, at: str) -> Look:
    """What is to be done about the open questions `rows` at the time `at`."""
    changed: list[ApprovalRow] = []
    due: list[ApprovalRow] = []
    for row in rows:
        if is_overdue(row, at=at):
            changed.append(expire(row, at=at))
        elif row.remind_s is not None and row.next_remind_at is not None:
            following = later(at, row.remind_s)
            if at >= row.next_remind_at:
                due.append(replace(row, reminded=row.reminded + 1, next_remind_at=following))
            elif row.next_remind_at > following:
                changed.append(replace(row, next_remind_at=following))
    return Look(changed=(*changed, *due), due=(*due,))


def next_look_s(rows: Iterable[ApprovalRow], *, at: str) -> float | None:
    """Seconds until something is due, by the clock of now; None when no reminder will ever be."""
    found = [
        _seconds(at, row.next_remind_at)
        for row in rows
        if row.status == "open" and row.next_remind_at is not None
    ]
    return min(found, default=None)


def _seconds(at: str, until: str) -> float:
    left = datetime.fromisoformat(until) - datetime.fromisoformat(at)
    return max(left.total_seconds(), 0.0)
