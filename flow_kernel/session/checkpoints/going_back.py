"""The way back as programs ask for it: to a checkpoint, to its name, or to one on its way.

Called by `session.session`, and by a worker that holds the variables of its session.
"""

from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.rebuilding import explain_all, recipes_for
from flow_kernel.session.checkpoints.rollback import Rollback, go_back
from flow_kernel.session.checkpoints.service import Checkpoints
from flow_kernel.session.checkpoints.taking import Taking


def go_back_to(
    checkpoints: Checkpoints,
    home: Home,
    to: str | Checkpoint | Taking,
    *,
    what: str,
    dry_run: bool,
    trusts: bool,
) -> Rollback:
    """Make variables and files as they were; see `Session.rollback` for arguments and errors."""
    checkpoints.settle()
    if isinstance(to, str):
        to = checkpoints.shelf.find(to, session=checkpoints.session)
    if isinstance(to, Taking):
        to = to.wait()
    back = go_back(checkpoints, to, what=what, dry_run=dry_run, trusts=trusts)
    if back.lost and not dry_run:
        lost = [left.name for left in back.lost]
        explain_all(checkpoints.namespace, recipes_for(home, to, lost))
    return back
