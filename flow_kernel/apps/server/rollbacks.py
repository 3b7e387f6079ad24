"""The way back to a checkpoint from a page: first what would change, then, confirmed, the change.

Called by `checkpoints`.

Files go back as `jupyter flow rollback --files` does it. Variables belong to a kernel that lives:
it is asked to run `%rollback`, as a cell that leaves a record like any other. What confirms is a
digest of what was shown: if something has changed since, nothing is done, and the new answer is
shown.
"""

import hashlib
from typing import Final

from flow_kernel.apps.rollback_session import checkpoints_at
from flow_kernel.apps.server.dashboard import Dashboard
from flow_kernel.apps.server.live_kernel import run_cell
from flow_kernel.errors import IllegalTransition, StoreError, UntrustedCheckpoint, UsageError
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.rollback import Rollback, go_back
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.shell.views.checkpoint_display import RollbackCard

WHATS: Final = ("files", "state")
_CELL_S: Final = 120.0
_STATUS_S: Final = 2.0
_AGAIN: Final = "ask once more in a moment"


def go_back_to(
    board: Dashboard, target: Checkpoint, *, what: str, session: str, confirm: str
) -> dict[str, object]:
    """Say what would change, or change it where `confirm` is the digest of what was said.

    Args:
        board: Of the home.
        target: The checkpoint.
        what: files or state.
        session: Whose variables.
        confirm: The digest of the answer that a person has seen; empty for none.

    Returns:
        `done`, the `lines` that a person reads, and what confirms them: `confirm`, None once done.

    Raises:
        IllegalTransition: The session runs a cell, somebody else goes back, or the checkpoint has
            files that cannot be brought back here.
        UntrustedCheckpoint: Variables of a stranger would run their code.
        FlowError: It cannot go back; nothing was changed.
    """
    if what == "state" and not session:
        raise UsageError("variables belong to a running kernel: name its session")
    if what == "state" and not target.is_trusted:
        # Before a kernel hears of it.
        raise UntrustedCheckpoint(
            f"checkpoint {target.checkpoint_id} was not signed with your key: restoring it would "
            "run whatever code is in it; nothing was changed",
            hint=f"if you know where it comes from: %rollback {target.checkpoint_id} --trust",
        )
    if not board.rollback_lock.acquire(blocking=False):
        raise IllegalTransition("somebody goes back just now; nothing was changed", hint=_AGAIN)
    try:
        lines = _went(board, target, what, session=session, is_dry_run=True)
        digest = hashlib.sha256("\n".join([target.checkpoint_id, what, session, *lines]).encode())
        expected = digest.hexdigest()
        if confirm != expected:
            is_stale = bool(confirm)
            return {"done": False, "lines": lines, "confirm": expected, "is_stale": is_stale}
        done = _went(board, target, what, session=session, is_dry_run=False)
        return {"done": True, "lines": done, "confirm": None, "is_stale": False}
    finally:
        board.rollback_lock.release()


def _went(
    board: Dashboard, target: Checkpoint, what: str, *, session: str, is_dry_run: bool
) -> list[str]:
    if what == "files":
        with checkpoints_at(board.home, board.terminal()) as checkpoints:
            back = _files_back(checkpoints, target, is_dry_run=is_dry_run)
        return repr(RollbackCard(back, undo="jupyter flow rollback --files")).split("\n")
    with board.kernel(session) as kernel:
        if kernel.ask("status", timeout_s=_STATUS_S).get("busy"):
            raise IllegalTransition(
                "a cell runs in that session; nothing was changed",
                hint="wait for it, or interrupt it",
            )
    option = " --dry-run" if is_dry_run else ""
    code = f"%rollback {target.checkpoint_id} --state{option}"
    lease = board.session(session)
    return run_cell(lease, code, is_recorded=not is_dry_run, timeout_s=_CELL_S).split("\n")


def _files_back(checkpoints: Checkpoints, target: Checkpoint, *, is_dry_run: bool) -> Rollback:
    try:
        return go_back(checkpoints, target, what="files", dry_run=is_dry_run)
    except StoreError as error:
        # What a disk or a database says has a cause, and may be over in a moment; that there is no
        # git, no such commit, or a file in the way, lies with the project.
        if type(error) is not StoreError or error.__cause__ is not None:
            raise
        raise IllegalTransition(error.message, hint=error.hint) from None
