"""Checkpoints over HTTP: the tree, what one holds, how two differ, and the way back.

Added to a server by `extension`. Nothing here loads a saved value.
"""

from typing import Any, Final

from flow_kernel.apps.server.base import Doing, Looking, text_of
from flow_kernel.apps.server.rollbacks import WHATS, go_back_to
from flow_kernel.apps.shelves import files_at
from flow_kernel.errors import UsageError
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, differing
from flow_kernel.session.checkpoints.comparison import summary_of
from flow_kernel.session.checkpoints.files_text import files_line, left_files
from flow_kernel.session.checkpoints.tree import Node
from flow_kernel.session.checkpoints.tree_text import remarks_of
from flow_kernel.shell.views.checkpoint_display import DifferenceCard

_LIMIT: Final = 200
_MOST: Final = 500
_MOST_WORDS: Final = 20
_NAMES: Final = 20
_VARIABLES: Final = 500
_NAME_CHARS: Final = 300


class CheckpointList(Looking):
    """`?q= &limit= &cursor=`: the rows of the tree, the newest first."""

    def look(self, **_: str) -> object:
        """The rows, and how many lanes they take."""
        laid = self.dashboard.shelved.laid()
        found, has_more = laid.page(
            self.word("q").casefold().split()[:_MOST_WORDS],
            before=self.word("cursor"),
            limit=self.count("limit", _LIMIT, most=_MOST),
        )
        here = laid.known.get(laid.here or "")
        lanes = [lane for row in found for lane in (row.lane, *row.above, *row.below)]
        return {
            "items": [_row(row) for row in found],
            "width": max(lanes, default=-1) + 1,
            "total": len(laid.nodes),
            "here": None if here is None else {"checkpoint_id": laid.here, "name": here.name},
            "damaged": [{"checkpoint_id": i, "reason": why} for i, why in laid.damaged.items()],
            "next": found[-1].checkpoint.checkpoint_id if has_more else None,
        }


class CheckpointPage(Looking):
    """One checkpoint."""

    def look(self, **where: str) -> object:
        """What it holds, and which sessions could go back to it."""
        one = self.dashboard.shelved.find(_name(where["name"]))
        names = [*one.variables]
        return {
            **_facts(one),
            "variables": [
                {"name": name, "summary": summary_of(one, name) or ""}
                for name in names[:_VARIABLES]
            ],
            "variables_more": max(len(names) - _VARIABLES, 0),
            "not_saved": [
                {"name": left.name, "type": left.type, "reason": left.reason}
                for left in one.not_saved[:_VARIABLES]
            ],
            "files": files_line(one).removeprefix("files: "),
            "left_out": left_files(one)[:_VARIABLES],
        }


class CheckpointDiff(Looking):
    """`?a= &b=`: how two checkpoints differ."""

    def look(self, **_: str) -> object:
        """The difference."""
        board = self.dashboard
        before, after = (board.shelved.find(_name(self.word(key))) for key in ("a", "b"))
        files = files_at(board.home, board.terminal()).difference(before, after)
        card = DifferenceCard(before, after, differing(before, after, files))
        return {
            "before": before.name,
            "after": after.name,
            "changes": [
                {"sign": change.sign, "name": change.name, "words": change.words}
                for change in card.changes
            ],
            **card.document(),
        }


class CheckpointRollback(Doing):
    """POST `{"what": files|state, "session"?, "confirm"?}`: the way back.

    Without `confirm` nothing is done: the answer says what would be, and what to send to confirm.
    """

    def do(self, asked: dict[str, Any], **where: str) -> object:
        """Say what would change, or do it."""
        what = text_of(asked, "what")
        if what not in WHATS:
            raise UsageError(f"what is one of {', '.join(WHATS)}")
        target = self.dashboard.shelved.find(_name(where["name"]))
        return go_back_to(
            self.dashboard,
            target,
            what=what,
            session=text_of(asked, "session", ""),
            confirm=text_of(asked, "confirm", ""),
        )


def _name(text: str) -> str:
    if not text or len(text) > _NAME_CHARS:
        raise UsageError("a checkpoint is named by its name or id")
    return text


def _row(row: Node) -> dict[str, object]:
    change = row.change
    return {
        **_facts(row.checkpoint),
        "lane": row.lane,
        "above": row.above,
        "joins": row.joins,
        "below": row.below,
        "is_here": row.is_here,
        "is_cut": row.is_cut,
        "is_damaged": row.is_damaged,
        "change": None
        if change is None
        else {
            "added": [*change.added][:_NAMES],
            "changed": [*change.changed][:_NAMES],
            "removed": [*change.removed][:_NAMES],
            "count": len(change.added) + len(change.changed) + len(change.removed),
            "has_files": change.has_files,
        },
    }


def _facts(one: Checkpoint) -> dict[str, object]:
    return {
        "checkpoint_id": one.checkpoint_id,
        "name": one.name,
        "parent_id": one.parent_id,
        "created_at": one.created_at,
        "reason": one.reason,
        "session": one.session,
        "plan_id": one.plan_id,
        "task_id": one.task_id,
        "seq": one.seq,
        "bytes_new": one.bytes_new,
        "variable_count": one.variable_count,
        "is_trusted": one.is_trusted,
        "remarks": [*remarks_of(one)],
    }
