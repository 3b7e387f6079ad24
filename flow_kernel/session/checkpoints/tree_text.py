"""A tree of checkpoints as text: the lanes, and one line of words for each checkpoint (pure).

Called by the magics and by the command line, which align the columns.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from flow_kernel.records.plain import counted, human_bytes, one_line
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.comparison import Change
from flow_kernel.session.checkpoints.tree import Gap, Node, Tree

HERE: Final = "you are here"
DAMAGED: Final = "damaged: see verify"
TREE_ROWS: Final = 60
"""How many checkpoints a picture shows where nobody asks for more."""
_MOST_LANES: Final = 12
_ID_CHARS: Final = 8


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What lanes are drawn with."""

    node: str
    here: str
    line: str
    across: str
    cross: str
    join: str
    last_join: str
    gap: str
    cut: str


UNICODE: Final = Glyphs("○", "●", "│", "─", "┼", "┴", "╯", "⋮", "┆")
ASCII: Final = Glyphs("o", "@", "|", "-", "+", "+", "'", ":", ":")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLine:
    """One line of the picture.

    Attributes:
        lanes: The drawing.
        name: Of the checkpoint, or what stands in its place.
        checkpoint_id: The beginning of it; empty for a line that is none.
        taken: UTC.
        variables: How many.
        size: What it added to the store.
        changes: What it changed; of the first one, what it began with.
        is_here: True for the place of the session.
    """

    lanes: str
    name: str
    checkpoint_id: str = ""
    taken: str = ""
    variables: str = ""
    size: str = ""
    changes: str = ""
    is_here: bool = False


def lines_of(tree: Tree, *, glyphs: Glyphs = UNICODE) -> Iterator[TreeLine]:
    """The picture, newest first."""
    width = min(tree.width, _MOST_LANES)
    for row in tree.rows:
        if isinstance(row, Gap):
            count = f"{row.count:,} more, not shown"
            yield TreeLine(lanes=_straight(row.lanes, width, glyphs.gap), name=count)
            continue
        one = row.checkpoint
        yield TreeLine(
            lanes=_drawn(row, width, glyphs),
            name=one_line(one.name, 60),
            checkpoint_id=one_line(one.checkpoint_id, 40)[:_ID_CHARS],
            taken=taken_at(one),
            variables=str(one.variable_count),
            size=human_bytes(one.bytes_new),
            changes=_remarks(row),
            is_here=row.is_here,
        )
        if row.is_cut:
            lanes = _straight({*row.below, row.lane}, width, glyphs.line, {row.lane: glyphs.cut})
            yield TreeLine(lanes=lanes, name="(what was before it is deleted)")


def change_words(change: Change, limit: int) -> str:
    """`+df ~x -tmp · files`; after `limit` names their number."""
    words = [f"{sign}{one_line(name, 60)}" for sign, name in change.words() if sign]
    if len(words) > limit:
        words = [*words[: limit - 1], f"… {len(words) - limit + 1} more"]
    told = [" ".join(words)] if words else []
    return " · ".join([*told, *(["files"] if change.has_files else [])])


def taken_at(one: Checkpoint) -> str:
    """`2026-11-21 10:00:00`; UTC."""
    return one_line(one.created_at[:19].replace("T", " "), 19)


def first_words(one: Checkpoint) -> str:
    """What stands for the change of a checkpoint that has no parent."""
    return counted(one.variable_count, "variable")


def remarks_of(one: Checkpoint) -> list[str]:
    """What else there is to say of a checkpoint."""
    found = []
    if one.reason != "asked":
        found.append(one_line(one.reason, 40))
    if one.not_saved:
        found.append(f"{len(one.not_saved)} not kept")
    if not one.is_trusted:
        found.append("not your key")
    return found


def _remarks(node: Node) -> str:
    said = [HERE] if node.is_here else []
    if node.change is not None:
        said.append(change_words(node.change, 12) or "nothing differs")
    elif node.is_damaged:
        said.append(DAMAGED)
    elif not node.is_cut:
        said.append(first_words(node.checkpoint))
    return " · ".join([*said, *remarks_of(node.checkpoint)])


def _drawn(node: Node, width: int, glyphs: Glyphs) -> str:
    last = max(node.joins, default=node.lane)
    drawn = []
    for lane in range(width):
        is_crossed = node.lane < lane < last
        if lane == node.lane:
            mark = glyphs.here if node.is_here else glyphs.node
        elif lane in node.joins:
            mark = glyphs.last_join if lane == last else glyphs.join
        elif lane in node.above:
            mark = glyphs.cross if is_crossed else glyphs.line
        else:
            mark = glyphs.across if is_crossed else " "
        drawn.append(mark + (glyphs.across if node.lane <= lane < last else " "))
    return "".join(drawn).rstrip()


def _straight(
    lanes: Collection[int], width: int, mark: str, others: dict[int, str] | None = None
) -> str:
    others = others or {}
    return " ".join(
        others.get(lane, mark) if lane in lanes else " " for lane in range(width)
    ).rstrip()
