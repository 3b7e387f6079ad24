"""All checkpoints as an answer of the magics: a table or a tree as text, a tree as HTML.

Called by `shell.magics.checkpoint_answers`. Everything a user named is escaped.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final, overload

from flow_kernel.records.plain import counted, human_bytes, one_line
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.tree import tree
from flow_kernel.session.checkpoints.tree_html import STYLE, tree_html
from flow_kernel.session.checkpoints.tree_text import (
    HERE,
    TREE_ROWS,
    lines_of,
    remarks_of,
    taken_at,
)
from flow_kernel.shell.views.display import Table

_COLUMNS: Final = 80
_NAME_CHARS: Final = 24
_TREE_CHARS: Final = 18


class CheckpointList(Sequence[Checkpoint]):
    """Checkpoints in the order in which they were taken; a sequence of them.

    Args:
        checkpoints: In this order.
        damaged: Ids of those that cannot be read, and why.
        here: The id of the one that the session is at.
        is_tree: True to draw the lanes in text, too.
    """

    def __init__(
        self,
        checkpoints: list[Checkpoint],
        damaged: Mapping[str, str],
        *,
        here: str | None = None,
        is_tree: bool = False,
    ) -> None:
        self._checkpoints = checkpoints
        self._damaged = damaged
        self._here = here
        self._is_tree = is_tree

    def __repr__(self) -> str:
        if not self._checkpoints and not self._damaged:
            return "no checkpoints yet"
        rows = self._tree_rows() if self._is_tree else self._rows()
        return "\n".join([*rows, *self._damaged_lines()])

    def _repr_html_(self) -> str:
        if not self._checkpoints and not self._damaged:
            return "<em>no checkpoints yet</em>"
        found = tree(self._checkpoints, here=self._here, limit=TREE_ROWS)
        damaged = "".join(f"<div>{escape(line)}</div>" for line in self._damaged_lines())
        picture = tree_html(found) if found.rows else ""
        return f"<style>{STYLE}</style>{picture}{damaged}"

    @overload
    def __getitem__(self, index: int) -> Checkpoint: ...
    @overload
    def __getitem__(self, index: slice) -> list[Checkpoint]: ...
    def __getitem__(self, index: int | slice) -> Checkpoint | list[Checkpoint]:
        return self._checkpoints[index]

    def __len__(self) -> int:
        return len(self._checkpoints)

    def _damaged_lines(self) -> list[str]:
        return [
            one_line(f"damaged: {one}: its manifest {why}", 300)
            for one, why in self._damaged.items()
        ]

    def _rows(self) -> list[str]:
        """The newest, oldest of them first; there are as many as a screen can take."""
        shown = self._checkpoints[-TREE_ROWS:]
        left = len(self._checkpoints) - len(shown)
        rows = [self._row(one) for one in shown]
        header = ("taken (UTC)", "name", "id", "variables", "new", "")
        lines = repr(Table(header, rows, empty="")).split("\n")
        return [
            *([f"… {counted(left, 'older one is', 'older ones are')} not shown"] if left else []),
            *lines,
        ]

    def _row(self, one: Checkpoint) -> list[str]:
        said = [HERE] if one.checkpoint_id == self._here else []
        return [
            taken_at(one),
            one_line(one.name, _NAME_CHARS),
            one_line(one.checkpoint_id, 40),
            str(one.variable_count),
            human_bytes(one.bytes_new),
            ", ".join([*said, *remarks_of(one)]),
        ]

    def _tree_rows(self) -> list[str]:
        lines = [*lines_of(tree(self._checkpoints, here=self._here, limit=TREE_ROWS))]
        lanes = max((len(line.lanes) for line in lines), default=0)
        names = min(max((len(line.name) for line in lines if line.taken), default=0), _TREE_CHARS)
        sizes = max((len(line.size) for line in lines), default=0)
        rows = []
        for line in lines:
            if not line.taken:
                rows.append(f"{line.lanes.ljust(lanes)}  {line.name}")
                continue
            start = (
                f"{line.lanes.ljust(lanes)}  {one_line(line.name, names).ljust(names)}  "
                f"{line.checkpoint_id}  {line.taken[5:]}  {line.size.rjust(sizes)}  "
            )
            rows.append(start + one_line(line.changes, max(_COLUMNS - len(start), 16)))
        return rows
