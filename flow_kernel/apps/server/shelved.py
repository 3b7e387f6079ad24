"""The checkpoints of a home as a tree, read once: later looks read those that have come since.

Made by `dashboard`; asked by `checkpoints`.

A manifest never changes, so what was read of it stays true while it is there. The folder is looked
through when its time is another one, or too young to tell: two changes within one tick of the clock
look like one.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flow_kernel.apps.shelves import shelf_at
from flow_kernel.errors import UsageError
from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.last_place import last_place
from flow_kernel.session.checkpoints.near import find_near
from flow_kernel.session.checkpoints.tree import Node, layout, with_change

if TYPE_CHECKING:
    from flow_kernel.session.checkpoints.shelf import Shelf

_YOUNG_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """The tree at one time.

    Attributes:
        nodes: Newest first, without what each changed.
        known: All checkpoints by id.
        places: Where each is among the nodes.
        damaged: By id, why a manifest cannot be read.
        here: The id of the one that the session at work is at.
    """

    nodes: Sequence[Node]
    known: Mapping[str, Checkpoint]
    places: Mapping[str, int]
    damaged: Mapping[str, str]
    here: str | None

    def page(self, words: Sequence[str], *, before: str, limit: int) -> tuple[list[Node], bool]:
        """Some nodes with what each changed, and whether there are more.

        Args:
            words: Folded; each in the name, id or reason.
            before: The id of the last one of the page before; empty for the first page.
            limit: How many.

        Raises:
            UsageError: There is no such checkpoint any more.
        """
        if before and before not in self.places:
            raise UsageError(f"checkpoint {before[:40]!r} is not there any more; begin anew")
        begin = self.places[before] + 1 if before else 0
        found: list[Node] = []
        for index in range(begin, len(self.nodes)):
            if _holds(self.nodes[index].checkpoint, words):
                if len(found) == limit:
                    return [with_change(node, self.known) for node in found], True
                found.append(self.nodes[index])
        return [with_change(node, self.known) for node in found], False


class Shelved:
    """All of one home; safe with several threads.

    Args:
        home: Whose.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._shelf: Shelf = shelf_at(home)
        self._laid: Laid | None = None
        self._changed_ns = 0
        self._looked_s = 0.0

    def laid(self) -> Laid:
        """The tree as it is now."""
        with self._lock:
            changed_ns = self._folder_ns()
            is_young = self._looked_s - changed_ns / 1e9 < _YOUNG_S
            before = self._laid
            if before is None or changed_ns != self._changed_ns or is_young:
                self._looked_s, self._changed_ns = time.time(), changed_ns
                known = self._shelf.all()
            else:
                known = [*before.known.values()]
            here = last_place(self._home, known)
            damaged = {**self._shelf.damaged}
            names = {one.checkpoint_id: one for one in known}
            if (
                before is None
                or (before.here, before.damaged) != (here, damaged)
                or before.known.keys() != names.keys()
            ):
                nodes = layout(known, here=here)
                places = {node.checkpoint.checkpoint_id: at for at, node in enumerate(nodes)}
                self._laid = Laid(
                    nodes=nodes, known=names, places=places, damaged=damaged, here=here
                )
                return self._laid
            return before

    def find(self, wanted: str) -> Checkpoint:
        """One of them, by its name or id; see `find_near`."""
        with self._lock:
            return find_near(self._shelf, wanted)

    def _folder_ns(self) -> int:
        try:
            return self._shelf.manifests_dir.stat().st_mtime_ns
        except OSError:  # none was taken yet
            return 0


def _holds(one: Checkpoint, words: Sequence[str]) -> bool:
    if not words:
        return True
    told = f"{one.name} {one.checkpoint_id} {one.reason}".casefold()
    return all(word in told for word in words)
