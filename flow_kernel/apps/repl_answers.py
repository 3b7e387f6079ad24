"""Answers to questions that come through `jupyter flow repl`.

Called by `repl_session`.

A decision goes into the store, where whoever waits for it looks; so it does not matter whether a
cell waits, whether it is blocked, or whether the question was parked long ago.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from flow_kernel.apps.repl_protocol import Decide
from flow_kernel.errors import FlowError, NotFound, StoreError
from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.records.redaction import Redactor
from flow_kernel.session.approval_desk import ApprovalDesk
from flow_kernel.session.approval_terms import checked_id
from flow_kernel.session.approvals_rules import refusal
from flow_kernel.session.flow import Flow
from flow_kernel.session.open_home import flow_of
from flow_kernel.session.person import user_name
from flow_kernel.store.contract import ApprovalRow, Store

CHANNEL: Final = "repl"


def decide(root: Path, asked: Decide) -> ApprovalRow:
    """Write a decision down; it is on the disk when this returns.

    Raises:
        UsageError: That is no approval id.
        NotFound: There is no such question.
        AlreadyDecided: Another answer was first; it says whose.
        StoreError: The home cannot be written.
    """
    approval_id = checked_id(asked.approval_id)
    home = Home(root)
    if not home.store_path.exists():
        raise NotFound(f"there is no approval {approval_id}; nothing was changed")
    with _opened(home) as flow:
        desk = _desk(flow.store)
        return desk.decide(
            approval_id, asked.decision, by=user_name(), channel=CHANNEL, comment=asked.comment
        )


def why_closed(root: Path, approval_id: str) -> FlowError | None:
    """Why a question takes no answer any more; None while it is open, or nobody can tell."""
    try:
        with _opened(Home(root)) as flow:
            row = _desk(flow.store).get(approval_id)
    except FlowError:
        return None
    return None if row.status == "open" else refusal(row)


@contextmanager
def _opened(home: Home) -> Iterator[Flow]:
    """The state of `home`; whatever the system refuses is a `StoreError`."""
    try:
        flow = flow_of(home)
        try:
            yield flow
        finally:
            # What cannot be brought into the log now waits in the store; the answer stands.
            with suppress(FlowError, OSError):
                flow.close()
    except FlowError:
        raise
    except OSError as error:
        raise StoreError(f"{home.root} cannot be used: {error}") from error


def _desk(store: Store) -> ApprovalDesk:
    redactor = Redactor(os.environ)
    return ApprovalDesk(store, now=utc_now_ms, redact=lambda text: redactor.text(text)[0])
