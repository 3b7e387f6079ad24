"""The questions of a home over HTTP, and the answers that the user of the server gives.

Added to a server by `extension`.
"""

import re
from typing import Any, Final

from flow_kernel.apps.server.base import Doing, Looking, text_of
from flow_kernel.apps.server.dashboard import Dashboard
from flow_kernel.errors import AlreadyDecided, KernelGone, NotFound, UsageError
from flow_kernel.session.approval_desk import ApprovalPlace
from flow_kernel.session.approval_terms import checked_id
from flow_kernel.session.approval_text import document_of, level_of
from flow_kernel.session.approvals_rules import STATUSES
from flow_kernel.store.contract import ApprovalRow
from flow_kernel.workflow.going_on import go_on_beside, parked_on

CHANNEL: Final = "dashboard"
_LIMIT: Final = 50
_MOST: Final = 500
_CURSOR: Final = re.compile(r"(?P<part>open|other)\.(?P<approval_id>A-[0-9]{1,15})\Z")
_DECISIONS: Final = {"approve": "approve", "reject": "reject", "skip": "skip"}


class ApprovalList(Looking):
    """`?status= &limit= &cursor=`: the questions, the newest first; open ones before all."""

    def look(self, **_: str) -> object:
        """One page."""
        status = self.word("status") or None
        if status not in (None, *STATUSES):
            raise UsageError(f"status is one of {', '.join(STATUSES)}")
        place = _place_of(self.word("cursor"))
        if not self.dashboard.has_store:
            return {"items": [], "next": None}
        limit = self.count("limit", _LIMIT, most=_MOST)
        found = self.dashboard.desk().page(status=status, place=place, limit=limit)
        return {
            "items": [_document(row) for row in found.rows],
            "next": None if found.last is None else _cursor_of(found.last),
        }


class ApprovalAnswer(Doing):
    """POST `{"decision": approve|reject|skip, "comment"?}`: the first valid answer counts."""

    def do(self, asked: dict[str, Any], **where: str) -> object:
        """Answer, and have a run that waits for it go on."""
        decision = text_of(asked, "decision")
        if decision not in _DECISIONS:
            raise UsageError(f"a decision is one of {', '.join(_DECISIONS)}")
        approval_id = checked_id(where["name"])
        comment = text_of(asked, "comment", "")
        row = self.dashboard.desk().get(approval_id)
        found = _asked(self.dashboard, row, decision, by=self.who, comment=comment)
        if found is None:
            desk = self.dashboard.desk()
            found = desk.decide(
                approval_id, decision, by=self.who, channel=CHANNEL, comment=comment
            )
            self.dashboard.flow().sync()
        flow = self.dashboard.flow()
        run_id = parked_on(flow.store, flow.home, approval_id)
        if run_id is not None:
            go_on_beside(flow.home, [run_id])
        return _document(found) | {"goes_on": run_id}


def _asked(
    board: Dashboard, row: ApprovalRow, decision: str, *, by: str, comment: str
) -> ApprovalRow | None:
    """The answer, given in the session that waits for it: it goes on within milliseconds.

    None where that session has ended; whoever reads the store then finds the answer there.
    """
    try:
        with board.kernel(row.session) as kernel:
            kernel.ask(
                "approve",
                approval_id=row.approval_id,
                decision=decision,
                by=by[:200],
                channel=CHANNEL,
                comment=comment,
            )
    except (NotFound, KernelGone):
        return None
    except AlreadyDecided:
        now = board.desk().get(row.approval_id)
        # A session that answered too late to be heard has answered all the same.
        if (now.channel, now.decided_by, now.comment) != (CHANNEL, by, comment):
            raise
    return board.desk().get(row.approval_id)


def _document(row: ApprovalRow) -> dict[str, object]:
    return document_of(row) | {"session": row.session, "level_text": level_of(row)}


def _cursor_of(place: ApprovalPlace) -> str:
    return f"{'open' if place.is_open else 'other'}.{place.approval_id}"


def _place_of(cursor: str) -> ApprovalPlace | None:
    if not cursor:
        return None
    found = _CURSOR.match(cursor)
    if found is None:
        raise UsageError(f"{cursor[:40]!r} is no cursor")
    return ApprovalPlace(found["part"] == "open", found["approval_id"])
