"""The names of a namespace and the identities of their values at one moment (pure).

Called by the recorder just before and just after a cell.

Identities are plain integers: a reference to a value would keep files open, delay `__del__`, make
`ndarray.resize` fail and double the peak memory of `df = f(df)`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Capture:
    """Names in the order of the namespace, and the id of the value of each."""

    names: list[str]
    ids: list[int]


def capture(namespace: Mapping[str, object]) -> Capture:
    """The capture of `namespace` now. O(names), about 8 ns each; reads no value.

    Args:
        namespace: The user's globals; another thread may change it meanwhile.

    Returns:
        Names and ids of equal length.

    Raises:
        RuntimeError: Other threads changed its size during every attempt.
    """
    for _ in range(_ATTEMPTS):
        try:
            names = list(namespace)
            ids = list(map(id, namespace.values()))
        except RuntimeError:  # the size changed while it was listed (free-threaded builds)
            continue
        if len(names) == len(ids):
            return Capture(names, ids)
    raise RuntimeError("the namespace changes its size faster than it can be listed")
