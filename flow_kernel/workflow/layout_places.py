"""How far apart the boxes of each rank stand, so that lines run as straight as can be (pure).

Called by `layout`. Each box wants to be where what it is linked to is; where boxes would overlap
they share the space. That is a least squares fit under "each at least so far behind the one before
it", which is isotonic regression: exact in O(n), by pooling those that violate the order.
Source: Barlow and others, Statistical Inference under Order Restrictions, 1972.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

Node = str | tuple[int, int]
"""A step, or a bend: the number of its link and its rank."""
_BEND: Final = 0.4
"""What a bend takes of the space of a box."""
_SWEEPS: Final = 6


def places_of(
    ranks: Sequence[Sequence[Node]], pairs: Iterable[tuple[Node, Node]]
) -> tuple[dict[Node, float], float]:
    """The middle of each node within its rank, and the breadth of all.

    Args:
        ranks: Nodes in the order that they keep.
        pairs: What is linked, from one rank to the next.
    """
    up: dict[Node, list[Node]] = {}
    down: dict[Node, list[Node]] = {}
    for source, target in pairs:
        down.setdefault(source, []).append(target)
        up.setdefault(target, []).append(source)
    places: dict[Node, float] = {}
    for names in ranks:
        middle = sum(map(_size, names)) / 2
        places |= dict(zip(names, _apart(names, [middle] * len(names)), strict=True))
        shift = middle
        for name in names:
            places[name] -= shift  # all ranks have one middle
    for sweep in range(_SWEEPS):
        links = up if sweep % 2 == 0 else down
        for names in ranks if sweep % 2 == 0 else reversed(ranks):
            wanted = [_mean(places, links.get(name, ()), places[name]) for name in names]
            places |= dict(zip(names, _apart(names, wanted), strict=True))
    first = min((place - _size(name) / 2 for name, place in places.items()), default=0.0)
    last = max((place + _size(name) / 2 for name, place in places.items()), default=0.0)
    return {name: place - first for name, place in places.items()}, last - first


def _apart(names: Sequence[Node], wanted: Sequence[float]) -> list[float]:
    """Places as near to those wanted as they can be, in the same order, without an overlap."""
    offsets: list[float] = []
    offset = 0.0
    for at, name in enumerate(names):
        offset += (_size(names[at - 1]) + _size(name)) / 2 if at else 0.0
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        total, count = want - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            total, count = total + pools[-1][0], count + pools[-1][1]
            pools.pop()
        pools.append((total, count))
    fitted = [total / count for total, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(fitted, offsets, strict=True)]


def _mean(places: Mapping[Node, float], names: Iterable[Node], default: float) -> float:
    found = [places[name] for name in names]
    return sum(found) / len(found) if found else default


def _size(name: Node) -> float:
    return 1.0 if isinstance(name, str) else _BEND
