"""Which names belong together (pure): union-find.

Called by `saving`.
"""

from collections.abc import Iterable


class Groups:
    """Names, each in a group of its own at first."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parents: dict[str, str] = {name: name for name in names}

    def unite(self, one: str, other: str) -> None:
        """Put the groups of two names together."""
        self._parents[self._root(one)] = self._root(other)

    def all(self) -> list[tuple[str, ...]]:
        """The groups, sorted, with sorted names."""
        found: dict[str, list[str]] = {}
        for name in sorted(self._parents):
            found.setdefault(self._root(name), []).append(name)
        return sorted(tuple(names) for names in found.values())

    def _root(self, name: str) -> str:
        parents = self._parents
        while parents[name] != name:
            parents[name] = parents[parents[name]]
            name = parents[name]
        return name
