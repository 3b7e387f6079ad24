"""Which class of another process is which one here, so that it stays one class on both sides.

Called by `transfer_classes`, which writes ids of classes, and `transfer_rebuild`, which reads them.

A class that is sent by value would be a new one at each sending, and instances that came before and
after would be of two kinds. Ids are random, and are given by the process that has made the class.

A copy of the session has the classes of the session at the addresses where that has them. It sends
none of these: it says where they are.
"""

import gc
import os
from typing import Any, Final
from weakref import WeakValueDictionary, ref

from flow_kernel.records.every_class import all_classes

_name_of: Final = type.__dict__["__qualname__"].__get__


class Classes:
    """Those that this process has sent or received by value; it keeps none of them alive."""

    def __init__(self) -> None:
        # By address: a metaclass may hash and compare as it likes.
        self._ids: dict[int, tuple[ref[Any], str]] = {}
        self._known: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._own: set[str] = set()
        self._is_copy = False
        self._made: frozenset[int] | None = None

    def become_copy(self) -> None:
        """This process is a copy of the one that it sends to, and has frozen what there was."""
        self._is_copy = True

    def place_of(self, kind: Any) -> tuple[int, str] | None:
        """Where the other process has a class; None where this is no copy, or has made it."""
        if not self._is_copy:
            return None
        if self._made is None:  # nothing is frozen that was made since
            self._made = frozenset(map(id, gc.get_objects()))
        return None if id(kind) in self._made else (id(kind), _name_of(kind))

    def at(self, address: int, name: str) -> Any:
        """The class of this process that a copy of it means; None where it is gone."""
        found = (kind for kind in all_classes() if id(kind) == address)
        return next((kind for kind in found if _name_of(kind) == name), None)

    def id_of(self, kind: Any) -> str:
        """The id of a class; a new one for one that nobody has sent yet."""
        class_id = self._find(kind)
        if class_id is None:
            class_id = os.urandom(12).hex()
            self._own.add(class_id)
            self.came(class_id, kind)
        return class_id

    def known(self, class_id: str) -> Any:
        """The class of an id; None where there is none, or no longer."""
        return self._known.get(class_id)

    def came(self, class_id: str, kind: Any) -> None:
        """A class is here now."""
        at = id(kind)

        def forget(_: object) -> None:
            self._ids.pop(at, None)
            self._own.discard(class_id)

        self._ids[at] = (ref(kind, forget), class_id)
        self._known[class_id] = kind

    def is_own(self, kind: Any) -> bool:
        """True for one that this process has made and sent."""
        return self._find(kind) in self._own

    def _find(self, kind: Any) -> str | None:
        found = self._ids.get(id(kind))
        return found[1] if found is not None and found[0]() is kind else None


CLASSES: Final = Classes()
"""Of this process: what is in a pickle is called by name, so there is nobody to pass it."""
