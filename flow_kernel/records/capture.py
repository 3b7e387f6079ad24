"""The names of a namespace and the identities of their values, before and after a cell.

Called by the recorder just before and just after a cell.

Identities are plain integers: a reference to a value would keep files open, delay `__del__`, make
`ndarray.resize` fail and double the peak memory of `df = f(df)`.

Two ways give the same answer: the picture of a dict's entry table (`dict_table`), where the
interpreter is known, and a list of ids everywhere else.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress, islice
from operator import ne
from typing import Final

from flow_kernel.records.dict_table import (
    ENTRY_BYTES,
    DictTable,
    differing_entries,
    is_supported,
)
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Capture:
    """Names in the order of the namespace, and the id of the value of each.

    Attributes:
        names: The keys; they are no user's values, so they may be kept.
        ids: One id a name; None when there is a picture instead.
        picture: (key, value) addresses, 16 bytes an entry; entries of deleted names are zero.
    """

    names: list[str]
    ids: list[int] | None
    picture: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What differs between two moments of one namespace, with ids; in no order."""

    added: list[tuple[str, int]]
    rebound: list[tuple[str, int, int]]
    removed: list[tuple[str, int]]


class NamespaceWatch:
    """Looks at one namespace again and again."""

    __slots__ = ("_table", "namespace")

    def __init__(self, namespace: dict[str, object], *, with_pictures: bool | None = None) -> None:
        """Watch `namespace`.

        Args:
            namespace: The user's globals.
            with_pictures: False for the portable way; by default what the interpreter supports.
        """
        self.namespace = namespace
        wanted = is_supported() if with_pictures is None else with_pictures
        self._table = DictTable(namespace) if wanted and type(namespace) is dict else None

    def capture(self) -> Capture:
        """The capture now. About 4 ns a name with pictures, 40 ns without; reads no value."""
        picture = self._table.picture() if self._table is not None else None
        if picture is not None:
            names = list(self.namespace)
            if len(names) * ENTRY_BYTES == len(picture) and (
                not names or id(names[-1]) == _word(picture, len(picture) - ENTRY_BYTES)
            ):
                return Capture(names, None, picture)
        return capture(self.namespace)

    def delta_since(self, before: Capture) -> Delta:
        """What differs between `before` and now."""
        if before.picture is not None and self._table is not None:
            picture = self._table.picture()
            if picture is not None:
                found = self._delta_of_pictures(before, before.picture, picture)
                if found is not None:
                    return found
        return delta(before, capture(self.namespace))

    def _delta_of_pictures(self, before: Capture, old: bytes, new: bytes) -> Delta | None:
        """The delta, or None when the table was laid out anew or a thread came in between."""
        if len(new) < len(old):
            return None
        rebound: list[tuple[str, int, int]] = []
        gone: dict[str, int] = {}
        for index in differing_entries(old, new):
            at = index * ENTRY_BYTES
            key, name, value = _word(new, at), before.names[index], _word(old, at + 8)
            if key == 0:
                gone[name] = value
            elif key == _word(old, at):
                rebound.append((name, value, _word(new, at + 8)))
            else:
                return None
        added = self._appended(len(old), new)
        if added is None:
            return None
        fresh = []
        for name, ident in added:
            if name in gone:  # deleted and bound again, perhaps to the same object
                old_ident = gone.pop(name)
                if old_ident != ident:
                    rebound.append((name, old_ident, ident))
            else:
                fresh.append((name, ident))
        return Delta(added=fresh, rebound=rebound, removed=list(gone.items()))

    def _appended(self, start: int, picture: bytes) -> list[tuple[str, int]] | None:
        """Names and ids of the entries from `start` on; None when they are no longer there."""
        if start == len(picture):
            return []
        words = array("Q", picture[start:])
        entries = [(k, v) for k, v in zip(words[::2], words[1::2], strict=True) if k]
        try:
            names = list(islice(reversed(self.namespace), len(entries)))
        except RuntimeError:
            return None
        names.reverse()
        if [id(name) for name in names] != [key for key, _ in entries]:
            return None
        if not all(type(name) is str for name in names):
            return None
        return [(name, value) for name, (_, value) in zip(names, entries, strict=True)]


def capture(namespace: Mapping[str, object]) -> Capture:
    """The capture of `namespace` now, the portable way: O(names), about 40 ns each."""
    for _ in range(_ATTEMPTS):
        try:
            names = list(namespace)
            ids = list(map(id, namespace.values()))
        except RuntimeError:  # the size changed while it was listed (free-threaded builds)
            continue
        if len(names) == len(ids):
            return Capture(names, ids)
    # Threads change its size all the time: one call in C, which holds the values for a moment.
    items = list(namespace.items())
    return Capture([name for name, _ in items], [id(value) for _, value in items])


def delta(before: Capture, after: Capture) -> Delta:
    """What differs between two captures (pure)."""
    old_ids, new_ids = ids_of(before), ids_of(after)
    count = len(before.names)
    is_same_order = (
        after.names == before.names
        if len(after.names) == count
        else after.names[:count] == before.names
    )
    if is_same_order:
        moved = compress(range(count), map(ne, old_ids, new_ids))
        return Delta(
            added=[
                (name, ident)
                for name, ident in zip(after.names[count:], new_ids[count:], strict=True)
                if type(name) is str
            ],
            rebound=[
                (before.names[i], old_ids[i], new_ids[i])
                for i in moved
                if type(before.names[i]) is str
            ],
            removed=[],
        )
    old = {n: i for n, i in zip(before.names, old_ids, strict=True) if type(n) is str}
    new = {n: i for n, i in zip(after.names, new_ids, strict=True) if type(n) is str}
    return Delta(
        added=[(name, new[name]) for name in new.keys() - old.keys()],
        rebound=[(name, old[name], i) for name, i in new.items() if old.get(name, i) != i],
        removed=[(name, old[name]) for name in old.keys() - new.keys()],
    )


def ids_of(taken: Capture) -> list[int]:
    """The ids of a capture, read from its picture when it has no list of them."""
    if taken.ids is not None:
        return taken.ids
    return array("Q", taken.picture or b"")[1::2].tolist()


def _word(picture: bytes, at: int) -> int:
    return int.from_bytes(picture[at : at + 8], "little")
