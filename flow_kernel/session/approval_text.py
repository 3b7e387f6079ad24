"""An approval in words and as a document, the same in a terminal and in a notebook (pure).

Called by `session.approvals`, by `shell.approve_display` and by `jupyter flow approvals`.
"""

from typing import Final

from flow_kernel.records.agent_events import NEED_APPROVAL_CODE
from flow_kernel.records.plain import one_line
from flow_kernel.session.approvals_rules import LEVELS
from flow_kernel.store.contract import ApprovalRow

MARKS: Final = {
    "open": "?",
    "approved": "✓",
    "rejected": "✗",
    "skipped": "–",
    "expired": "✗",
    "cancelled": "–",
}
_WIDTH: Final = 200
_FIELDS: Final = (
    "approval_id", "plan_id", "task_id", "step", "message", "code_sha256", "payload_sha256",
    "approval_hash", "level", "status", "requested_by", "requested_at", "decided_by", "decided_at",
    "channel", "comment", "expires_at", "on_timeout", "is_used",
)  # fmt: skip


def title_of(row: ApprovalRow) -> str:
    """`A-0001 Delete 3 files?`."""
    return f"{row.approval_id} {one_line(row.message, _WIDTH)}"


def outcome_of(row: ApprovalRow) -> str:
    """`approved by ann (cli) at …: fine`, or until when it is open."""
    if row.status == "open":
        return f"open until {row.expires_at}" if row.expires_at else "open"
    by = one_line(row.decided_by or "", 60)
    how = f" ({row.channel})" if row.channel != row.decided_by else ""
    said = f": {one_line(row.comment, 100)}" if row.comment else ""
    return f"{row.status} by {by}{how} at {row.decided_at}{said}"


def level_of(row: ApprovalRow) -> str:
    """How much the answer is worth, in words."""
    return f"{row.level}: {LEVELS[row.level]}" if row.level in LEVELS else row.level


def ways_to_answer(row: ApprovalRow) -> str:
    """What to type elsewhere."""
    return f"jupyter flow approve {row.approval_id} (or reject)"


def need_of(row: ApprovalRow) -> dict[str, str | int | None]:
    """The event of an open question, for agents."""
    return {
        "code": NEED_APPROVAL_CODE,
        "id": row.approval_id,
        "msg": row.message,
        "task_id": row.task_id,
        "expires_at": row.expires_at,
    }


def decision_of(row: ApprovalRow) -> dict[str, str | None]:
    """The event of an answer, for agents."""
    return {
        "id": row.approval_id,
        "status": row.status,
        "by": row.decided_by,
        "channel": row.channel,
    }


def document_of(row: ApprovalRow) -> dict[str, object]:
    """One item of `jupyter flow approvals --json`."""
    return {name: getattr(row, name) for name in _FIELDS}
