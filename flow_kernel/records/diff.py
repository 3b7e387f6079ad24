"""Names added, rebound and removed between two captures (pure).

Called by the recorder at the end of a cell.

    added     bound after and not before            removed   bound before and not after
    changed   bound on both sides, and the object differs or the bytecode stores the name

`changed` may over-report (`x = x`) and never misses a rebinding that either source can see.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import compress
from operator import ne
from typing import Final

from flow_kernel.records.capture import Capture
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

# IPython's input and output caches, and what debuggers and variable views of editors leave behind.
_INTERNAL: Final = re.compile(
    r"_{1,3}\Z|_i{1,3}\Z|_i?\d+\Z|_oh\Z|_ih\Z|_dh\Z|In\Z|Out\Z|_VSCODE_|__vsc_"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceDiff:
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
        if type(name) is not str or _INTERNAL.match(name):
            return False
        return name not in self._hidden or id(self._hidden[name]) != ident


def compare(
    before: Capture, after: Capture, *, stored: Set[str], visible: Visibility
) -> NamespaceDiff:
    """Names added, changed and removed between two captures of one namespace.

    O(names) for the comparison of identities in C, and O(differences) for the rest; runs no user
    code and reads no value, so an in-place change does not show here.

    Args:
        before: Taken just before the cell.
        after: Taken just after it.
        stored: Names that the cell's bytecode binds.
        visible: Which names are variables of the user.

    Returns:
        Sorted names.
    """
    count = len(before.names)
    same_order = (
        after.names == before.names
        if len(after.names) == count
        else after.names[:count] == before.names
    )
    if same_order:
        return _compare_in_order(before, after, stored, visible)
    return _compare_by_name(before, after, stored, visible)


def _compare_in_order(
    before: Capture, after: Capture, stored: Set[str], visible: Visibility
) -> NamespaceDiff:
    count = len(before.names)
    added: set[str] = set()
    changed: set[str] = set()
    removed: set[str] = set()
    for index in compress(range(count), map(ne, before.ids, after.ids)):
        _sort_in(
            before.names[index],
            visible(before.names[index], before.ids[index]),
            visible(before.names[index], after.ids[index]),
            (added, changed, removed),
        )
    for name, ident in zip(after.names[count:], after.ids[count:], strict=True):
        if visible(name, ident):
            added.add(name)
    candidates = {name for name in stored if name not in added}
    if candidates:
        old = _positions(before, candidates)
        changed.update(n for n, ident in old.items() if n not in removed and visible(n, ident))
    return NamespaceDiff(added=sorted(added), changed=sorted(changed), removed=sorted(removed))


def _compare_by_name(
    before: Capture, after: Capture, stored: Set[str], visible: Visibility
) -> NamespaceDiff:
    old = {n: i for n, i in zip(before.names, before.ids, strict=True) if type(n) is str}
    new = {n: i for n, i in zip(after.names, after.ids, strict=True) if type(n) is str}
    added: set[str] = set()
    changed: set[str] = set()
    removed: set[str] = set()
    for name in old.keys() - new.keys():
        if visible(name, old[name]):
            removed.add(name)
    for name in new.keys() - old.keys():
        if visible(name, new[name]):
            added.add(name)
    for name, ident in new.items():
        if name in old and (old[name] != ident or name in stored):
            _sort_in(
                name, visible(name, old[name]), visible(name, ident), (added, changed, removed)
            )
    return NamespaceDiff(added=sorted(added), changed=sorted(changed), removed=sorted(removed))


def _sort_in(
    name: str, seen_before: bool, seen_after: bool, sets: tuple[set[str], set[str], set[str]]
) -> None:
    added, changed, removed = sets
    if seen_before and seen_after:
        changed.add(name)
    elif seen_after:
        added.add(name)
    elif seen_before:
        removed.add(name)


def _positions(before: Capture, names: Set[str]) -> dict[str, int]:
    # A list search in C for few names, one pass for many.
    if len(names) <= 8:
        found = {}
        for name in names:
            try:
                found[name] = before.ids[before.names.index(name)]
            except ValueError:
                continue
        return found
    return {
        n: i for n, i in zip(before.names, before.ids, strict=True) if type(n) is str and n in names
    }
