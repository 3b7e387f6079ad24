"""Objects of the session itself, which saved variables refer to and which are never saved.

Called by `saving` and `loading`.

A function refers to the namespace that it was made in, a display handle to the shell. Such objects
are put into the memo of the pickler before it begins, so that it writes a reference and C code does
all of it; the unpickler begins with the same objects of the session that loads.
"""

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_CLASS_LEVEL: Final = (
    # Lists that belong to a class and appear in the state of each instance: no sharing of theirs.
    ("pandas", "DataFrame", "_metadata"),
    ("pandas", "Series", "_metadata"),
)


@dataclass(frozen=True, slots=True)
class Anchors:
    """Objects by name; names are kept with what was saved.

    Attributes:
        by_name: What there is in this process.
    """

    by_name: Mapping[str, object]

    def names(self) -> list[str]:
        """All of them, in an order that stays."""
        return sorted(self.by_name)

    def ids(self) -> frozenset[int]:
        """What is no part of any variable."""
        return frozenset(id(value) for value in self.by_name.values())

    def for_pickler(self) -> dict[int, tuple[int, object]]:
        """A memo to begin with: by id, number and object."""
        values = (self.by_name[name] for name in self.names())
        return {id(value): (number, value) for number, value in enumerate(values)}

    def in_order(self, names: list[str]) -> list[object]:
        """The objects that another session knew by these names.

        Raises:
            LookupError: One that was there when it was saved is not here.
        """
        return [self.by_name[name] if name in self.by_name else _imported(name) for name in names]


def _imported(name: str) -> object:
    """An anchor of a library that this session has not loaded yet; others come with a session."""
    for module, cls, attribute in _CLASS_LEVEL:
        if name == f"{module}.{cls}.{attribute}":
            found: object = getattr(getattr(importlib.import_module(module), cls), attribute)
            return found
    raise LookupError(f"there is no {name} in this session")


def anchors_of(namespace: dict[str, Any], named: Mapping[str, object]) -> Anchors:
    """The anchors of a session.

    Args:
        namespace: Of the user.
        named: Others, by name: the shell, its history.
    """
    found: dict[str, object] = {"namespace": namespace, **named}
    for module, cls, attribute in _CLASS_LEVEL:
        if (loaded := sys.modules.get(module)) is not None:
            value = getattr(getattr(loaded, cls, None), attribute, None)
            if value is not None and id(value) not in {id(other) for other in found.values()}:
                found[f"{module}.{cls}.{attribute}"] = value
    return Anchors(found)
