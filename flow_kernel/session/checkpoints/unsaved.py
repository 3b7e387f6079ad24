"""Which objects the checkpoints of a session could not hold, and whether they are there still.

Told by `service` of each checkpoint; asked by `rollback`.

An address says little: another object may have been given it since. A weak reference knows better,
and holds nothing. It is made at the moment of a checkpoint, for whatever might not be saved.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final
from weakref import ReferenceType, ref

from flow_kernel.records.introspection import mro_of
from flow_kernel.session.checkpoints.checkpoint import LeftName

References = Mapping[str, ReferenceType[Any]]

_NO_REFERENCES: Final[References] = {}


class Unsaved:
    """What the checkpoints of one session could not hold."""

    def __init__(self) -> None:
        self._last: References = _NO_REFERENCES
        self._by_checkpoint: dict[str, References] = {}

    def looked_at(self, values: Mapping[str, object], taken_over: Iterable[str]) -> References:
        """References to what a checkpoint that begins now may not be able to hold.

        Args:
            values: What it tries to save.
            taken_over: Names that could not be saved the last time and are as they were.
        """
        found = {name: self._last[name] for name in taken_over if name in self._last}
        arrays = getattr(sys.modules.get("numpy"), "ndarray", None)
        for name, value in values.items():
            # An array with references cannot be resized.
            if arrays is None or not any(one is arrays for one in mro_of(type(value))):
                try:
                    found[name] = ref(value)
                except TypeError:  # what cannot be referred to: numbers, lists, …
                    continue
        return found

    def keep(self, checkpoint_id: str, found: References, names: Iterable[str]) -> None:
        """A checkpoint is there.

        Args:
            checkpoint_id: Which.
            found: What `looked_at` gave at its moment.
            names: Those that it could not hold.
        """
        self._last = {name: found[name] for name in names if name in found}
        if self._last:
            self._by_checkpoint.setdefault(checkpoint_id, self._last)

    def is_same(self, checkpoint_id: str, left: LeftName, value: object) -> bool:
        """True when a value is the one that a checkpoint could not hold.

        What cannot be referred to is known by its address and its type.
        """
        known = self._by_checkpoint.get(checkpoint_id, _NO_REFERENCES).get(left.name)
        if known is not None:
            return known() is value
        kind = type(value)
        named = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        return id(value) == left.ident and named == left.type
