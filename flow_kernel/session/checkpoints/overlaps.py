"""Which blocks of memory overlap that nobody says are one (pure).

Called by `saving`.

An array and a tensor made of it are on the same memory, and neither knows of the other. After a
load each would have its own. Variables with such blocks come into one group, and a group with such
blocks is refused.
"""

import pickle
import sys
from collections.abc import Iterator, Mapping, Sequence

from flow_kernel.session.checkpoints.refusals import Unsaveable


def overlapping(
    buffers: Mapping[str, Sequence[pickle.PickleBuffer]],
) -> Iterator[tuple[str, str]]:
    """Pairs of names with blocks that overlap and can be written to."""
    if "torch" not in sys.modules:  # numpy alone says whose memory an array is on
        return
    import numpy as np  # loaded by torch

    blocks = sorted(
        (array.ctypes.data, array.nbytes, name)
        for name, own in buffers.items()
        for one in own
        if (array := np.frombuffer(one.raw(), np.uint8)).flags.writeable and array.nbytes
    )
    end, last = 0, ""
    for start, nbytes, name in blocks:
        if start < end:
            yield last, name
        if start + nbytes > end:
            end, last = start + nbytes, name


def refuse_overlaps(buffers: Sequence[pickle.PickleBuffer]) -> None:
    """Nothing, for blocks that do not overlap.

    Raises:
        Unsaveable: Some do.
    """
    if len(buffers) > 1 and next(overlapping({"": buffers}), None) is not None:
        raise Unsaveable("an array and a tensor on the same memory; without: tensor.clone()")
