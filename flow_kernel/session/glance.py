"""What a request that is no cell has bound and imported.

Made by `session.recorder` for the time machine, where checkpoints are taken: nothing of it is
recorded.
"""

from collections.abc import Mapping
from typing import NamedTuple

from flow_kernel.records.cell_changes import Watches
from flow_kernel.records.diff import Visibility, classify
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS


class Glanced(NamedTuple):
    """Sorted names.

    Attributes:
        added: Bound after it and not before.
        changed: Bound to another object.
        removed: Bound before it and not after.
        imports: Modules that it brought in.
    """

    added: list[str]
    changed: list[str]
    removed: list[str]
    imports: list[str]


class Glance:
    """Names and modules as they were before a request.

    Args:
        watches: Of the session.
        namespace: The user's globals, live.
        hidden: Names that the shell itself bound, with their values.
    """

    __slots__ = ("_before", "_hidden", "_mark", "_watches", "namespace")

    def __init__(
        self, watches: Watches, namespace: dict[str, object], hidden: Mapping[str, object]
    ) -> None:
        self.namespace: dict[str, object] = namespace
        self._watches = watches
        self._hidden = hidden
        self._before = watches.names(namespace).capture()
        self._mark = watches.imports.mark()

    def end(self) -> Glanced:
        """What is otherwise now. O(differences)."""
        delta = self._watches.names(self.namespace).delta_since(self._before)
        found = classify(delta, stored={}, visible=Visibility(self._hidden))
        imports = self._watches.imports.added_since(self._mark)
        return Glanced(found.added, found.changed, found.removed, imports)
