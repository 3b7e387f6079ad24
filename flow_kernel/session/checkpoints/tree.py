"""The tree of checkpoints as rows with lanes, as `git log --graph` draws it (pure).

Called by `tree_html`, by the magics, the command line and the dashboard.

    newest first      lanes           a row: the lane of its node, the lanes that join it from
    ● c               0               above, and those that go on below
    │ ○ b             0 1
    ○─╯ a             0

Each lane waits for one checkpoint. A node takes the first lane that waits for it, the others join
there, and the lane goes on to its parent. A parent that was deleted ends the lane: cut off.
"""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from flow_kernel.errors import FlowError
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.comparison import Change, change_of

UNREADABLE: Final = (FlowError, KeyError, TypeError, ValueError, AttributeError)
"""What the manifest of somebody else may raise when its long part is first looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One checkpoint in its row.

    Attributes:
        checkpoint: Which.
        change: What it changed against its parent; None where that is not there.
        lane: Of its node, from 0.
        above: Lanes that come in from the row above.
        joins: Those among them that end here, besides its own.
        below: Lanes that go on.
        is_here: True when the session is equal to it, but for what happened since.
        is_cut: True when it had a parent that was deleted.
        is_damaged: True when what it holds, or its parent, cannot be read.
    """

    checkpoint: Checkpoint
    change: Change | None
    lane: int
    above: tuple[int, ...]
    joins: tuple[int, ...]
    below: tuple[int, ...]
    is_here: bool
    is_cut: bool
    is_damaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Checkpoints that are not shown.

    Attributes:
        count: How many.
        lanes: What passes by.
    """

    count: int
    lanes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What is shown of a tree.

    Attributes:
        rows: Newest first.
        width: How many lanes there are.
        total: How many checkpoints, those that are not shown among them.
    """

    rows: tuple[Node | Gap, ...]
    width: int
    total: int


def tree(checkpoints: Sequence[Checkpoint], *, here: str | None = None, limit: int = 0) -> Tree:
    """Lay out checkpoints.

    Args:
        checkpoints: In the order in which they were taken.
        here: The id of the one that the session is at.
        limit: How many to show: the newest, some of the oldest and where the session is; 0 for
            all.

    Returns:
        The rows. What changed is worked out for those that are shown alone.
    """
    known = {one.checkpoint_id: one for one in checkpoints}
    nodes = layout(checkpoints, here=here)
    shown = _shown(nodes, limit)
    rows: list[Node | Gap] = []
    last = -1
    for index in sorted(shown):
        if index > last + 1:
            rows.append(Gap(count=index - last - 1, lanes=nodes[index].above))
        rows.append(with_change(nodes[index], known))
        last = index
    lanes = [lane for row in rows for lane in _lanes_of(row)]
    return Tree(rows=tuple(rows), width=max(lanes, default=-1) + 1, total=len(nodes))


def layout(checkpoints: Sequence[Checkpoint], *, here: str | None = None) -> list[Node]:
    """The rows of all checkpoints, newest first, without what each changed; see `tree`."""
    known = {one.checkpoint_id: one for one in checkpoints}
    return _laid_out(_ordered(checkpoints), known, here)


def _ordered(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Newest first, and each before its parent whatever the clocks said."""
    places = {one.checkpoint_id: place for place, one in enumerate(checkpoints)}
    children = dict.fromkeys(places, 0)
    for one in checkpoints:
        if one.parent_id in children:
            children[one.parent_id] += 1
    ready = [-places[name] for name, count in children.items() if not count]
    heapq.heapify(ready)
    found = []
    while ready:
        one = checkpoints[-heapq.heappop(ready)]
        found.append(one)
        if one.parent_id in children:
            children[one.parent_id] -= 1
            if not children[one.parent_id]:
                heapq.heappush(ready, -places[one.parent_id])
    # Manifests that name one another as parents are forged; they are shown all the same.
    seen = {one.checkpoint_id for one in found}
    return [*found, *(one for one in reversed(checkpoints) if one.checkpoint_id not in seen)]


def _laid_out(
    ordered: Sequence[Checkpoint], known: Mapping[str, Checkpoint], here: str | None
) -> list[Node]:
    waiting: list[str | None] = []
    done: set[str] = set()
    nodes = []
    for one in ordered:
        name = one.checkpoint_id
        above = _taken(waiting)
        own = [lane for lane in above if waiting[lane] == name]
        lane = own[0] if own else _free(waiting)
        for other in own[1:]:
            waiting[other] = None
        done.add(name)
        has_parent = one.parent_id in known and one.parent_id not in done
        waiting[lane] = one.parent_id if has_parent else None
        while waiting and waiting[-1] is None:
            waiting.pop()
        nodes.append(
            Node(
                checkpoint=one,
                change=None,
                lane=lane,
                above=above,
                joins=tuple(own[1:]),
                below=_taken(waiting),
                is_here=name == here,
                is_cut=one.parent_id is not None and not has_parent,
            )
        )
    return nodes


def _taken(waiting: Sequence[str | None]) -> tuple[int, ...]:
    return tuple(lane for lane, name in enumerate(waiting) if name is not None)


def _free(waiting: list[str | None]) -> int:
    if None in waiting:
        return waiting.index(None)
    waiting.append(None)
    return len(waiting) - 1


def _shown(nodes: Sequence[Node], limit: int) -> Collection[int]:
    count = len(nodes)
    if not limit or count <= limit:
        return range(count)
    oldest = min(limit // 4, 5) or 1
    shown = {*range(limit - oldest), *range(count - oldest, count)}
    return shown | {index for index, node in enumerate(nodes) if node.is_here}


def with_change(node: Node, known: Mapping[str, Checkpoint]) -> Node:
    """A node with what it changed against its parent, one of `known` by id."""
    parent = known.get(node.checkpoint.parent_id or "")
    if parent is None or node.is_cut:
        return node
    try:
        return replace(node, change=change_of(parent, node.checkpoint))
    except UNREADABLE:  # the picture shows all that there is; `verify` says what is wrong
        return replace(node, is_damaged=True)


def _lanes_of(row: Node | Gap) -> tuple[int, ...]:
    return row.lanes if isinstance(row, Gap) else (row.lane, *row.above, *row.below)
