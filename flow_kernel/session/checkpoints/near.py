"""Finds a checkpoint, and says which names are near to one that there is not.

Called by the magics and by the command line.
"""

from difflib import get_close_matches

from flow_kernel.errors import NotFound
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.shelf import Shelf

_MOST: int = 3


def find_near(shelf: Shelf, wanted: str, *, session: str | None = None) -> Checkpoint:
    """A checkpoint by its name, id or number; see `Shelf.find`.

    Raises:
        NotFound: There is none; the hint names those that are near.
        UsageError: Several ids begin like that.
        CheckpointDamaged: There is one, and it cannot be read.
    """
    try:
        return shelf.find(wanted, session=session)
    except NotFound as error:
        near = near_names(wanted, [one.name for one in shelf.all()])
        if not near:
            raise
        raise NotFound(error.message, hint=f"did you mean {' or '.join(near)}?") from None


def near_names(wanted: str, names: list[str]) -> list[str]:
    """Names that somebody may have meant, the nearest first."""
    by_key = {name.casefold(): name for name in names}
    keys = get_close_matches(wanted.casefold()[:100], [*by_key], n=_MOST, cutoff=0.6)
    keys += [key for key in by_key if wanted and key.startswith(wanted.casefold())]
    return [by_key[key][:60] for key in dict.fromkeys(keys)][:_MOST]
