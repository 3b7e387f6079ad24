"""The names of a namespace and the identities of their values, before and after a cell.

Called by the recorder just before and just after a cell.

Identities are plain integers: a reference to a value would keep files open, delay `__del__`, make
`ndarray.resize` fail and double the peak memory of `df = f(df)`.

Two ways give the same answer: the picture of a dict's entry table (`dict_table`), where the
interpreter is known, and a list of ids everywhere else.
"""

import struct
import threading
from array import array
from collections.abc import Mapping
from itertools import compress, islice
from operator import ne
from typing import Final, NamedTuple

from flow_kernel.records.dict_table import (
    ENTRY_BYTES,
    DictTable,
    differing_entries,
    is_supported,
)
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_ATTEMPTS: Final = 10
_entry: Final = struct.Struct("<QQ").unpack_from
_entries: Final = struct.Struct("<QQ").iter_unpack


class Capture(NamedTuple):
    """Names in the order of the namespace, and the identities of their values.

    Attributes:
        names: The keys; they are no user's values, so they may be kept. With a picture: one for
            each of its entries, None where the entry's name was deleted, perhaps more at the end.
        ids: One id a name; None when there is a picture instead.
        picture: (key, value) addresses, 16 bytes an entry; entries of deleted names are zero.
    """

    names: list[str | None]
    ids: list[int] | None
    picture: bytes | None = None


class Delta(NamedTuple):
    """What differs between two moments of one namespace, with ids; in no order."""

    added: list[tuple[str, int]]
    rebound: list[tuple[str, int, int]]
    removed: list[tuple[str, int]]


class NamespaceWatch:
    """Looks at one namespace again and again.

    With pictures the list of names is kept from cell to cell and follows what changed: touching
    100,000 names to list them anew would cost more than everything else together.
    """

    __slots__ = ("_lock", "_names", "_seen", "_table", "namespace")

    def __init__(self, namespace: dict[str, object], *, with_pictures: bool | None = None) -> None:
        """Watch `namespace`.

        Args:
            namespace: The user's globals.
            with_pictures: False for the portable way; by default what the interpreter supports.
        """
        self.namespace: dict[str, object] = namespace
        wanted = is_supported() if with_pictures is None else with_pictures
        self._table = DictTable(namespace) if wanted and type(namespace) is dict else None
        self._names: list[str | None] = []
        self._seen = b""
        self._lock = threading.Lock()

    def capture(self) -> Capture:
        """The capture now. About 2 ns a name with pictures, 40 ns without; reads no value."""
        with self._lock:  # cells of subshells begin in threads of their own
            picture = self._table.picture() if self._table is not None else None
            if picture is not None and (self._follow(picture) or self._list_anew(picture)):
                return Capture(self._names, None, self._seen)
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

    def _follow(self, picture: bytes) -> bool:
        """Bring the names to `picture`; False when the table was laid out anew."""
        seen = self._seen
        if picture == seen:  # as a rule: nothing happened since the last cell
            return True
        if len(picture) < len(seen):
            return False
        dead = []
        for index in differing_entries(seen, picture):
            at = index * ENTRY_BYTES
            key, _ = _entry(picture, at)
            if key == 0:
                dead.append(index)
            elif key != _entry(seen, at)[0]:
                return False
        fresh = self._appended(len(seen), picture)
        if fresh is None:
            return False
        self._take(picture, dead, fresh)
        return True

    def _take(self, picture: bytes, dead: list[int], fresh: list[tuple[str | None, int]]) -> None:
        if dead:
            self._names = list(self._names)  # captures that were given out keep the old list
            for index in dead:
                self._names[index] = None
        self._names.extend([name for name, _ in fresh])
        self._seen = picture

    def _list_anew(self, picture: bytes) -> bool:
        self._names, self._seen = [], b""
        return self._follow(picture)

    def _delta_of_pictures(self, before: Capture, old: bytes, new: bytes) -> Delta | None:
        """The delta, or None when the table was laid out anew or a thread came in between."""
        if len(new) < len(old):
            return None
        rebound: list[tuple[str, int, int]] = []
        gone: dict[str, int] = {}
        dead: list[int] = []
        for index in differing_entries(old, new):
            at = index * ENTRY_BYTES
            old_key, old_value = _entry(old, at)
            key, value = _entry(new, at)
            name = before.names[index]
            if name is None or key not in (0, old_key):
                return None
            if key == 0:
                gone[name] = old_value
                dead.append(index)
            else:
                rebound.append((name, old_value, value))
        appended = self._appended(len(old), new)
        if appended is None:
            return None
        with self._lock:
            if self._seen is old:  # no other cell has looked since: the names are brought up now
                self._take(new, dead, appended)
        added = _sort_appended(appended, gone, rebound)
        return Delta(added=added, rebound=rebound, removed=list(gone.items()))

    def _appended(self, start: int, picture: bytes) -> list[tuple[str | None, int]] | None:
        """Names and ids of the entries from `start` on; None when they are no longer there."""
        if start == len(picture):
            return []
        entries = [*_entries(picture[start:])]
        count = len([key for key, _ in entries if key])
        try:
            names = list(islice(reversed(self.namespace), count))
        except RuntimeError:
            return None
        if len(names) != count:
            return None
        found: list[tuple[str | None, int]] = []
        for key, value in entries:
            name = names.pop() if key else None
            # Not followed, compared: the pointer must be that of the very key we hold.
            if name is not None and id(name) != key:
                return None
            found.append((name, value))
        return found


def capture(namespace: Mapping[str, object]) -> Capture:
    """The capture of `namespace` now, the portable way: O(names), about 40 ns each.

    Raises:
        RuntimeError: Other threads changed its size during every attempt.
    """
    for _ in range(_ATTEMPTS):
        try:
            names: list[str | None] = list(namespace)
            ids = list(map(id, namespace.values()))
        except RuntimeError:  # the size changed while it was listed (free-threaded builds)
            continue
        if len(names) == len(ids):
            return Capture(names, ids)
    # Threads change its size all the time: one call in C, which holds the values for a moment.
    for _ in range(_ATTEMPTS * _ATTEMPTS):
        try:
            items = list(namespace.items())
        except RuntimeError:
            continue
        listed: list[str | None] = [name for name, _ in items]
        return Capture(listed, [id(value) for _, value in items])
    raise RuntimeError("the namespace changes its size faster than it can be listed")


def delta(before: Capture, after: Capture) -> Delta:
    """What differs between two captures (pure)."""
    old_names, old_ids = _plain(before)
    new_names, new_ids = _plain(after)
    count = len(old_names)
    is_same_order = (
        new_names == old_names if len(new_names) == count else new_names[:count] == old_names
    )
    if is_same_order:
        moved = compress(range(count), map(ne, old_ids, new_ids))
        return Delta(
            added=_pairs(new_names[count:], new_ids[count:]),
            rebound=[
                (name, old_ids[index], new_ids[index])
                for index in moved
                if type(name := old_names[index]) is str
            ],
            removed=[],
        )
    old, new = dict(_pairs(old_names, old_ids)), dict(_pairs(new_names, new_ids))
    return Delta(
        added=[(name, new[name]) for name in new.keys() - old.keys()],
        rebound=[(name, old[name], i) for name, i in new.items() if old.get(name, i) != i],
        removed=[(name, old[name]) for name in old.keys() - new.keys()],
    )


def _plain(taken: Capture) -> tuple[list[str | None], list[int]]:
    """Names and ids of equal length, without the entries of deleted names."""
    if taken.ids is not None:
        return taken.names, taken.ids
    words = array("Q", taken.picture or b"")
    keys, values = words[::2], words[1::2]
    return list(compress(taken.names, keys)), list(compress(values, keys))


def _sort_appended(
    appended: list[tuple[str | None, int]],
    gone: dict[str, int],
    rebound: list[tuple[str, int, int]],
) -> list[tuple[str, int]]:
    """Names that are new; one that was deleted and bound again moves from `gone` to `rebound`."""
    added = []
    for name, ident in appended:
        if name is None:
            continue
        old_ident = gone.pop(name, 0)
        if not old_ident:
            added.append((name, ident))
        elif old_ident != ident:
            rebound.append((name, old_ident, ident))
    return added


def _pairs(names: list[str | None], ids: list[int]) -> list[tuple[str, int]]:
    return [(name, i) for name, i in zip(names, ids, strict=True) if type(name) is str]
