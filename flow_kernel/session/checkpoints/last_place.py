"""Where the session that was last at work is in the tree, from its log.

Called by the command line; a session itself knows its place.
"""

from collections.abc import Sequence

from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.history import History

_MOVES = ("checkpoint", "rollback")


def last_place(home: Home, checkpoints: Sequence[Checkpoint]) -> str | None:
    """The id of the checkpoint that a session went to last; None where there are none.

    Args:
        home: Where the logs lie.
        checkpoints: In the order in which they were taken.
    """
    if not checkpoints:
        return None
    newest = checkpoints[-1]
    moves = [
        record
        for record in History(home, newest.session).records()
        if record.get("kind") in _MOVES and record.get("what") != "files"
    ]
    if not moves:
        return newest.checkpoint_id
    last = max(moves, key=lambda record: int(str(record.get("seq", 0))))
    return str(last.get("checkpoint_id"))
