"""Throws checkpoints away, and what only they needed.

Called by `service` and by `jupyter flow checkpoints prune`.
"""

from contextlib import suppress
from dataclasses import dataclass

from flow_kernel.errors import StoreError
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.git.snapshots import GitSnapshots
from flow_kernel.store.snapshots.collect import collect


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was thrown away."""

    checkpoints: int
    bytes_freed: int


def prune(shelf: Shelf, *, keep: int, files: GitSnapshots | None) -> Pruned:
    """Delete all but the newest `keep` checkpoints of a home.

    Those that stay name their parents by id, whether they are there or not.

    Args:
        shelf: The checkpoints.
        keep: From 1 on.
        files: Forgets their commits; None where there is no git any more.
    """
    gone = shelf.all()[:-keep]
    for checkpoint in gone:
        shelf.drop(checkpoint)
        if checkpoint.git is not None and files is not None:
            with suppress(StoreError):
                files.forget(str(checkpoint.git["ref"]), str(checkpoint.git["commit"]))
    freed = collect(shelf.segments_dir, shelf.reachable())
    shelf.chunks.refresh()
    return Pruned(checkpoints=len(gone), bytes_freed=freed)
