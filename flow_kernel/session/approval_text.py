"""An approval in words and as a document, the same in a terminal and in a notebook (pure).

Called by `session.approvals`, by `shell.views.approve_display` and by `jupyter flow approvals`.
"""

import re
from typing import Final

from flow_kernel.records.agent_events import NEED_APPROVAL_CODE
from flow_kernel.records.plain import one_line, strip_controls
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
_WORD: Final = re.compile(r"[a-z]+\b", re.IGNORECASE | re.ASCII)
_FIELDS: Final = (
    "approval_id", "plan_id", "task_id", "step", "message", "code", "code_sha256", "payload",
    "payload_sha256", "approval_hash", "level", "status", "requested_by", "requested_at",
    "decided_by", "decided_at", "channel", "comment", "expires_at", "on_timeout", "is_used",
    "remind_s", "next_remind_at", "reminded",
)  # fmt: skip


def title_of(row: ApprovalRow) -> str:
    """`A-0001 Delete 3 files?`."""
    return f"{row.approval_id} {one_line(row.message, _WIDTH)}"


def outcome_of(row: ApprovalRow) -> str:
    """`approved by ann (cli) at …: fine`, or until when it is open."""
    if row.status == "open":
        return f"open until {row.expires_at}" if row.expires_at else "open"
    by = one_line(row.decided_by or "", 60)
    is_said = row.channel == row.decided_by or f"({row.channel}, " in by
    how = "" if is_said else f" ({row.channel})"
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


def announcement_of(row: ApprovalRow) -> str:
    """What stands above the box of a waiting cell; the code is the cell itself."""
    bound = "".join(f"{line}\n" for line in payload_lines(row))
    return f"{title_of(row)}\n{bound}  {level_of(row)}\n  from elsewhere: {ways_to_answer(row)}\n"


def detail_of(row: ApprovalRow) -> list[str]:
    """All that a person needs to know before they answer, in lines that are safe to print."""
    where = row.task_id if row.step is None else f"{row.task_id}, step {one_line(row.step, 80)}"
    used = " · used" if row.is_used else ""
    lines = [
        f"{MARKS[row.status]} {row.approval_id} {outcome_of(row)}{used}",
        *(f"  {line}" for line in _lines(row.message)),
        f"  asked by {one_line(row.requested_by, 60)} at {row.requested_at} in {where}",
        f"  {level_of(row)}",
    ]
    if row.expires_at is not None:
        lines.append(f"  until {row.expires_at}, then: {row.on_timeout}")
    if row.remind_s is not None:
        following = f", the next at {row.next_remind_at}" if row.next_remind_at else ""
        lines.append(f"  reminders every {row.remind_s:g} s, {row.reminded} so far{following}")
    lines += [
        *code_lines(row),
        *payload_lines(row),
        f"  code    SHA-256 {row.code_sha256 or 'unknown'}",
        *([f"  payload SHA-256 {row.payload_sha256}"] if row.payload_sha256 else []),
        f"  bound   SHA-256 {row.approval_hash}",
    ]
    return lines


def code_lines(row: ApprovalRow) -> list[str]:
    """The code that the answer is bound to, under its title; nothing without one."""
    return _quoted("code", row.code)


def payload_lines(row: ApprovalRow) -> list[str]:
    """What the answer is bound to beside the code, under its title; nothing without one."""
    return _quoted("payload", row.payload)


def document_of(row: ApprovalRow) -> dict[str, object]:
    """One item of `jupyter flow approvals --json`."""
    return {name: getattr(row, name) for name in _FIELDS}


def _quoted(title: str, text: str | None) -> list[str]:
    """A block of text under its title; nothing without one."""
    if text is None:
        return []
    return [f"  {title}:", *(f"  │ {line}" for line in _lines(text))]


def _lines(text: str) -> list[str]:
    return [strip_controls(line.replace("\t", "    ")) for line in text.split("\n")]


def prompt_of(row: ApprovalRow) -> str:
    """What stands before the box in the cell."""
    return f"{row.approval_id}: yes, no or skip? "


def word_and_comment(text: str) -> tuple[str, str]:
    """`yes, as agreed` in its two parts."""
    clean = text.strip()
    word = _WORD.match(clean)
    end = word.end() if word else 0
    return clean[:end], clean[end:].lstrip(" ,;:.-")
