"""Names added, changed and removed by a cell (pure).

Called by the recorder at the end of a cell.

    added     bound after and not before            removed   bound before and not after
    changed   bound on both sides, and the object differs or the bytecode stores the name

`changed` may over-report (`x = x`) and never misses a rebinding that either source can see.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from flow_kernel.records.capture import Delta
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

# IPython's input and output caches, and what debuggers and variable views of editors leave behind.
_INTERNAL: Final = re.compile(
    r"_{1,3}\Z|_i{1,3}\Z|_i?\d+\Z|_oh\Z|_ih\Z|_dh\Z|In\Z|Out\Z|_VSCODE_|__vsc_"
)
_is_internal: Final = _INTERNAL.match

_FIRST: Final = "_IO"


class NamespaceDiff(NamedTuple):
    """Sorted names; the three never share one."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class Visibility:
    """Decides which names are variables of the user.

    A name is hidden when IPython made it: its caches by their form, the rest (`exit`,
    `get_ipython`, what start-up files bound) by still being the object that IPython hid.
    """

    __slots__ = ("_hidden",)

    def __init__(self, hidden: Mapping[str, object]) -> None:
        self._hidden = hidden

    def __call__(self, name: object, ident: int) -> bool:
        """True when `name`, bound to the object with id `ident`, is a variable of the user."""
        if type(name) is not str or (name[:1] in _FIRST and _is_internal(name)):
            return False
        return name not in self._hidden or id(self._hidden[name]) != ident


def classify(delta: Delta, *, stored: Mapping[str, int], visible: Visibility) -> NamespaceDiff:
    """Names added, changed and removed. O(differences); runs no user code.

    Args:
        delta: What differs in identity.
        stored: Names that the cell's bytecode binds and that are bound now, with their ids.
        visible: Which names are variables of the user.

    Returns:
        Sorted names.

    Source: identity against value, Python Language Reference, section 3.1.
    """
    # Most names that differ are IPython's own, at every cell.
    added = {name for name, i in delta.added if not _is_internal(name) and visible(name, i)}
    removed = {name for name, ident in delta.removed if visible(name, ident)}
    changed = set()
    moved = set()
    for name, old, new in delta.rebound:
        if _is_internal(name):
            continue
        was, is_now = visible(name, old), visible(name, new)
        moved.add(name)
        if was and is_now:
            changed.add(name)
        elif is_now:
            added.add(name)
        elif was:
            removed.add(name)
    fresh = {name for name, _ in delta.added} if stored else ()
    for name, ident in stored.items():
        if name not in fresh and name not in moved and visible(name, ident):
            changed.add(name)
    return NamespaceDiff(added=sorted(added), changed=sorted(changed), removed=sorted(removed))
