"""The questions of a session for whoever answers or looks while a cell keeps the main thread busy.

Built by `session.assembly`; used by the control channel and by the panel, in threads of their own.

It has a handle of its own on the store: what a cell waits for, up to half a minute, holds up nobody
here, and where another writer is at work the refusal comes after a second. A cell that waits for an
answer goes on with one that was given here.
"""

from typing import Final

from flow_kernel.session.approval_parts import ApprovalParts, Wish
from flow_kernel.session.approvals import Approvals
from flow_kernel.store.contract import ApprovalRow

WAIT_S: Final = 1.0
MOST_OPEN: Final = 100


class Beside:
    """Of one session; safe with several threads.

    Args:
        parts: With the store that is for this alone, and the waits of the session.
    """

    def __init__(self, parts: ApprovalParts) -> None:
        self._approvals = Approvals(parts)
        self._session = parts.session

    def open(self) -> list[ApprovalRow]:
        """The newest open questions of the session, in the order in which they were asked."""
        return self._approvals.desk.open_of(self._session, limit=MOST_OPEN)

    def get(self, approval_id: str) -> ApprovalRow:
        """One question of the home; see `ApprovalDesk.get`."""
        return self._approvals.desk.get(approval_id)

    def request(self, wish: Wish) -> ApprovalRow:
        """Ask; see `Approvals.request`."""
        return self._approvals.request(wish)

    def decide(
        self, approval_id: str, decision: str, *, by: str, channel: str, comment: str = ""
    ) -> ApprovalRow:
        """Answer a question of the home; see `ApprovalDesk.decide`.

        Raises:
            StoreError: Another writer keeps the store; nothing was changed.
        """
        return self._approvals.decide(
            approval_id, decision, by=by, channel=channel, comment=comment
        )

    def use(self, approval_id: str, *, by: str) -> ApprovalRow | None:
        """The answer to a question of `by`, used by this call; see `Approvals.use`."""
        return self._approvals.use(approval_id, by=by)

    def withdraw(self, approval_id: str, *, by: str, channel: str) -> ApprovalRow:
        """Take a question back; see `Approvals.withdraw`."""
        return self._approvals.withdraw(approval_id, by=by, channel=channel)
