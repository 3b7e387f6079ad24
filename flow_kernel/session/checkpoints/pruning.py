"""Throws checkpoints away, and what only they needed.

Called by `service` and by `jupyter flow checkpoints prune`.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from flow_kernel.errors import FlowError, StoreError
from flow_kernel.session.checkpoints.budget import Held, default_budget, to_drop
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.git.snapshots import GitSnapshots
from flow_kernel.store.snapshots.collect import WORTH, collect


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was thrown away.

    Attributes:
        checkpoints: How many.
        bytes_freed: On the disk.
        why_kept: Why nothing was freed although it might have been; empty otherwise.
    """

    checkpoints: int
    bytes_freed: int
    why_kept: str = ""


def prune(shelf: Shelf, *, keep: int, files: GitSnapshots | None) -> Pruned:
    """Delete all but the newest `keep` checkpoints of a home.

    Those that stay name their parents by id, whether they are there or not.

    Args:
        shelf: The checkpoints.
        keep: From 1 on.
        files: Forgets their commits; None where there is no git any more.
    """
    return _dropped(shelf, shelf.all()[:-keep], files)


def keep_within(
    shelf: Shelf, *, budget_bytes: int = 0, files: GitSnapshots | None = None
) -> Pruned:
    """Delete automatic checkpoints, oldest first, until all fit; see `budget`.

    A scan of a directory where they fit; otherwise about half a second for 1,000 checkpoints.

    Args:
        shelf: The checkpoints.
        budget_bytes: What they may take on the disk; 0 for `default_budget`.
        files: Forgets their commits; None where there is no git any more.
    """
    shelf.chunks.refresh()
    used = shelf.chunks.nbytes
    if not used:
        return Pruned(checkpoints=0, bytes_freed=0)
    budget = budget_bytes or default_budget(shelf.segments_dir, used)
    if used <= budget:
        return Pruned(checkpoints=0, bytes_freed=0)
    known = shelf.all()
    sizes = {placed.header.digest: placed.header.frame_bytes for placed in shelf.chunks}
    try:
        held = _weighed(shelf, known)
        gone = frozenset(to_drop(held, shelf.needed_by, sizes, budget_bytes=budget))
    except FlowError as error:
        return Pruned(checkpoints=0, bytes_freed=0, why_kept=str(error))
    # What lies about unneeded is worth more copying than otherwise: the disk is full of it.
    return _dropped(
        shelf, [one for one in known if one.checkpoint_id in gone], files, worth=(1 + WORTH) / 2
    )


def clear(shelf: Shelf) -> None:
    """Delete what no checkpoint needs, as one leaves it that a full disk has refused.

    Its frames would fill that disk until somebody prunes, and the log has no place to go.
    """
    with suppress(FlowError, OSError):  # what is kept is as it was
        _dropped(shelf, (), None)


def _weighed(shelf: Shelf, known: list[Checkpoint]) -> list[Held]:
    return [
        Held(
            checkpoint_id=one.checkpoint_id,
            reason=one.reason,
            session=one.session,
            parts=parts,
        )
        for one, parts in zip(known, shelf.parts_of(known), strict=True)
    ]


def _dropped(
    shelf: Shelf,
    gone: Iterable[Checkpoint],
    files: GitSnapshots | None,
    *,
    worth: float = WORTH,
) -> Pruned:
    count = 0
    for checkpoint in gone:
        count += 1
        shelf.drop(checkpoint)
        if checkpoint.git is not None and files is not None:
            with suppress(StoreError):
                files.forget(str(checkpoint.git["ref"]), str(checkpoint.git["commit"]))
    freed, why_kept = 0, ""
    try:
        freed = collect(shelf.segments_dir, shelf.reachable, worth=worth)
    except StoreError as error:
        why_kept = str(error)
    shelf.chunks.refresh()
    return Pruned(checkpoints=count, bytes_freed=freed, why_kept=why_kept)
