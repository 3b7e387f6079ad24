"""Where the session that was last at work is in the tree, from its log.

Called by the command line and the dashboard; a session itself knows its place.
"""

import re
from collections.abc import Sequence
from typing import Final

from flow_kernel.records.home import Home
from flow_kernel.records.recent import recent_records
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.history import History

_MOVES: Final = ("checkpoint", "rollback")
_MOST: Final = 50
_READ_BYTES: Final = 16 * 2**20
_ROTATED: Final = re.compile(r"\.[0-9]+\.jsonl\Z")
"""What `recent_records` finds by itself, beside the file that goes on."""


def last_place(home: Home, checkpoints: Sequence[Checkpoint]) -> str | None:
    """The id of the checkpoint that a session went to last; None where there are none.

    Args:
        home: Where the logs lie.
        checkpoints: In the order in which they were taken.
    """
    if not checkpoints:
        return None
    newest = checkpoints[-1]
    moves = _last_moves(home, newest.session)
    if not moves:
        return newest.checkpoint_id
    last = max(moves, key=lambda record: int(str(record.get("seq", 0))))
    return str(last.get("checkpoint_id"))


def _last_moves(home: Home, session: str) -> list[dict[str, object]]:
    """Those at the end of its log; all of them where there are none."""
    paths = [path for path in home.log_files() if _ROTATED.search(path.name) is None]
    found, is_complete = [], True
    for kind in _MOVES:
        recent = recent_records(
            paths,
            session,
            limit=_MOST,
            kinds=(kind,),
            holds=b'"kind":"%b"' % kind.encode(),
            budget_bytes=_READ_BYTES,
        )
        found += recent.records
        is_complete &= recent.is_complete
    if not found and not is_complete:
        found = [each for each in History(home, session).records() if each.get("kind") in _MOVES]
    return [record for record in found if record.get("what") != "files"]
