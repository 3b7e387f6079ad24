"""Which class of another process is which one here, so that it stays one class on both sides.

Called by `transfer_classes`, which writes ids of classes, and `transfer_rebuild`, which reads them.

A class that is sent by value would be a new one at each sending, and instances that came before and
after would be of two kinds. Ids are random, and are given by the process that has made the class.
"""

import os
from typing import Any, Final
from weakref import WeakValueDictionary, ref


class Classes:
    """Those that this process has sent or received by value; it keeps none of them alive."""

    def __init__(self) -> None:
        # By address: a metaclass may hash and compare as it likes.
        self._ids: dict[int, tuple[ref[Any], str]] = {}
        self._known: WeakValueDictionary[str, Any] = WeakValueDictionary()
        self._own: set[str] = set()

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
