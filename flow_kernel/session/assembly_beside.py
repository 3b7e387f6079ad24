"""Puts together what answers questions of a session beside its cells.

Called by `session.assembly` when it is first asked for.
"""

from collections.abc import Callable

from flow_kernel.records.home import Home
from flow_kernel.records.journal import utc_now_ms
from flow_kernel.session.announcer import Emit
from flow_kernel.session.approval_parts import ApprovalParts
from flow_kernel.session.approval_waits import Waits
from flow_kernel.session.approvals import Approvals
from flow_kernel.session.beside import WAIT_S, Beside
from flow_kernel.session.carrier import Carrier
from flow_kernel.session.open_home import store_of
from flow_kernel.session.person import user_name
from flow_kernel.session.recorder import Recorder
from flow_kernel.session.sealing import RecorderParts
from flow_kernel.store.contract import ApprovalRow


def open_beside(  # noqa: PLR0913 - passed once, each by name
    home: Home,
    parts: RecorderParts,
    recorder: Recorder,
    *,
    emit: Emit,
    on_carried: Callable[[], None],
    closers: list[Callable[[], None]],
    waiting: Callable[[], Approvals | None],
    waits: Waits,
) -> Beside:
    """The questions of a session on a handle of their own, which is closed with the session.

    Args:
        home: Where the state lies.
        parts: What the recorder works with.
        recorder: Knows who has sent the cell that runs.
        emit: Tells agents.
        on_carried: Told when there may be something new in the logs.
        closers: Told what ends with the session.
        waiting: The questions whose cells may wait, once there are any.
        waits: Of these cells.
    """
    store = store_of(home, wait_s=WAIT_S)
    closers.append(store.close)
    carrier = Carrier(home, store, parts.journal, redactor=parts.redactor)

    def carry() -> None:
        carrier()
        on_carried()

    def on_approved(row: ApprovalRow) -> None:
        if (found := waiting()) is not None:
            found.approved(row)

    return Beside(
        ApprovalParts(
            store=store,
            where=parts.where,
            running=recorder.innermost,
            prompter=None,
            session=parts.where.session,
            actor=recorder.actor,
            person=user_name,
            now=utc_now_ms,
            carry=carry,
            redact=lambda text: parts.redactor.text(text)[0],
            emit=emit,
            on_approved=on_approved,
            sync=parts.journal.sync,
            waits=waits,
        )
    )
