"""Objects of the session itself, which saved variables refer to and which are never saved.

Called by `saving` and `loading`.

A function refers to the namespace that it was made in, a display handle to the shell. Such objects
are put into the memo of the pickler before it begins, so that it writes a reference and C code does
all of it; the unpickler begins with the same objects of the session that loads. How many there are
depends on nothing that a cell can do: their number is in all that is written after them.
"""

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flow_kernel.session.checkpoints.serialisers import Serialisers, installed


@dataclass(frozen=True, slots=True)
class Anchors:
    """Objects by name; names are kept with what was saved.

    Attributes:
        by_name: What there is in this process.
        serialisers: How everything else is taken apart.
    """

    by_name: Mapping[str, object]
    serialisers: Serialisers = field(default_factory=installed)

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
        """The objects that another session knew by these names; None for those not here."""
        return [self.by_name.get(name) for name in names]


def anchors_of(namespace: dict[str, Any], named: Mapping[str, object]) -> Anchors:
    """The anchors of a session.

    Args:
        namespace: Of the user.
        named: Others, by name: the shell, its history.
    """
    # A function that `exec` made refers to the built-ins, as a dict.
    return Anchors({"namespace": namespace, "builtins": vars(builtins), **named})
