"""Which checkpoints go when the disk is to hold no more of them (pure, but for the free space).

Called by `pruning`.

Only what was taken by itself goes, oldest first: what somebody asked for stays, and so does the
newest of each session, which the next one of that session builds upon.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.session.checkpoints.checkpoint import Part

AUTOMATIC: Final = frozenset(["step", "task", "cells", "minutes", "interval", "safety", "approval"])
"""Reasons of checkpoints that nobody asked for."""
_MOST_BYTES: Final = 10_000_000_000
_PART_OF_FREE: Final = 0.1
_ROOM: Final = 0.9
"""Down to this part of the budget, so that the next checkpoint does not exceed it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A checkpoint as far as its weight goes.

    Attributes:
        checkpoint_id: Its id.
        reason: Why it was taken.
        session: Whose.
        parts: What it consists of; checkpoints have most of it in common.
    """

    checkpoint_id: str
    reason: str
    session: str
    parts: frozenset[Part]


def default_budget(where: Path, used_bytes: int) -> int:
    """10 GB, or a tenth of what the disk would have free without checkpoints, if that is less.

    Args:
        where: A directory on the disk.
        used_bytes: What checkpoints take now.
    """
    free = shutil.disk_usage(where).free + used_bytes
    return min(_MOST_BYTES, int(_PART_OF_FREE * free))


def to_drop(
    held: Iterable[Held],
    chunks_of: Callable[[Part], Iterable[bytes]],
    sizes: Mapping[bytes, int],
    *,
    budget_bytes: int,
) -> list[str]:
    """The ids of the checkpoints that go, oldest first; none where all fit.

    Args:
        held: All checkpoints, oldest first.
        chunks_of: What a part needs.
        sizes: What each chunk takes on the disk.
        budget_bytes: What all together may take.
    """
    all_of_them = list(held)
    parts = Counter(part for one in all_of_them for part in one.parts)
    chunks = Counter(chunk for part in parts for chunk in chunks_of(part))
    total = sum(sizes.get(chunk, 0) for chunk in chunks)
    if total <= budget_bytes:
        return []
    newest = {one.session: one.checkpoint_id for one in all_of_them}
    gone = []
    for one in all_of_them:
        if total <= _ROOM * budget_bytes:
            break
        if one.reason not in AUTOMATIC or newest[one.session] == one.checkpoint_id:
            continue
        gone.append(one.checkpoint_id)
        parts.subtract(one.parts)
        for part in one.parts:
            if not parts[part]:
                total -= _given_up(chunks_of(part), chunks, sizes)
    return gone


def _given_up(needed: Iterable[bytes], counts: Counter[bytes], sizes: Mapping[bytes, int]) -> int:
    """Take the chunks of one part out; returns the bytes that nobody needs any more."""
    freed = 0
    for chunk in needed:
        counts[chunk] -= 1
        if not counts[chunk]:
            freed += sizes.get(chunk, 0)
    return freed
