"""Runs cells in IPython and asks, for each, which variables it may have changed.

The oracle: a content digest of every variable before and after. What differs and was not named was
missed.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from IPython.core.async_helpers import get_asyncio_loop
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.io import capture_output
from traitlets.config import Config

from flow_kernel.records.diff import Visibility
from flow_kernel.session.checkpoints.anchors import Anchors, anchors_of
from flow_kernel.session.checkpoints.reach_around import Around, look_around
from flow_kernel.session.checkpoints.reach_facts import facts_of, landmarks
from flow_kernel.session.checkpoints.reach_look import CellLook, Reach, World
from flow_kernel.session.checkpoints.reach_tracker import ReachTracker
from flow_kernel.session.checkpoints.saving import NOTHING_SPECIAL, save
from flow_kernel.shell.taps.compile_tap import CompileTap

UNSAVED = b"?"
"""What stands for the content of a variable that could not be saved."""


@dataclass(frozen=True, slots=True)
class Saving:
    """Variables at one moment.

    Attributes:
        contents: A digest by name.
        ids: Of the values, by name.
        groups: Names that share something.
    """

    contents: dict[str, bytes]
    ids: dict[str, int]
    groups: list[tuple[str, ...]]


class Session:
    """One shell with a tracker."""

    def __init__(self) -> None:
        config = Config()
        config.HistoryManager.enabled = False
        self._main = sys.modules["__main__"]
        self.shell: Any = InteractiveShell.instance(config=config)
        self._codes: list[Any] = []
        self._tap = CompileTap(self.shell, self._codes.append)
        self._tap.install()
        self.tracker = ReachTracker()
        self._around = Around.now(self.shell)
        self.has_failed: bool = False

    def close(self) -> None:
        self._tap.remove()
        InteractiveShell.clear_instance()
        sys.modules["__main__"] = self._main
        get_asyncio_loop().close()

    def fresh(self) -> None:
        """As if the session had just begun; what was done to libraries stays."""
        for name in list(self.variables()):
            del self.namespace[name]
        self.namespace["Out"].clear()
        for name in ("_", "__", "___"):  # a cell that binds them stops the display hook
            self.namespace[name] = self.shell.user_ns_hidden[name] = ""
            setattr(self.shell.displayhook, name, "")
        self.tracker = ReachTracker()

    @property
    def namespace(self) -> dict[str, Any]:
        return self.shell.user_ns  # type: ignore[no-any-return]

    def run(self, cell: str) -> Reach:
        """Run a cell; what it may have changed."""
        before = set(self.namespace)
        modules = set(sys.modules)
        self._codes.clear()
        doubts = []
        self.has_failed = not self.run_quietly(cell)
        if self.has_failed:
            doubts.append("failed")
        after = set(self.namespace)
        look = CellLook(
            codes=tuple(self._codes),
            born=after - before,
            removed=before - after,
            imported=set(sys.modules) - modules,
            doubts=tuple(doubts),
        )
        return self.tracker.ran(look, self.world())

    def run_quietly(self, cell: str) -> bool:
        """True when it succeeded; nobody is told of it."""
        with capture_output():
            return bool(self.shell.run_cell(cell, store_history=True).success)

    def world(self) -> World:
        return World(
            namespace=self.namespace,
            hidden=self.shell.user_ns_hidden,
            types=self.tracker.types(),
            doubts=look_around(self.shell, self._around),
        )

    def variables(self) -> dict[str, Any]:
        is_visible = Visibility(self.shell.user_ns_hidden)
        return {
            n: v
            for n, v in self.namespace.items()
            if is_visible(n, id(v)) and not n.startswith("__")
        }

    def anchors(self) -> Anchors:
        shell = self.shell
        named = {"shell": shell, "history": shell.history_manager, "Out": shell.user_ns["Out"]}
        return anchors_of(self.namespace, named)

    def save(self, *, tells: bool = False, looks_for_code: bool = True) -> Saving:
        """Save all variables; with `tells` the tracker begins again.

        Without `looks_for_code` the libraries count as clean, which can only make it say less.
        """
        values = self.variables()
        if tells:
            self.tracker.save_begins()
        marks = NOTHING_SPECIAL
        if tells:  # they take a look at every object of the process
            marks = landmarks(self.namespace, self.anchors().by_name.values())
        saved = save(values, self.anchors(), landmarks=marks)
        contents: dict[str, bytes] = dict.fromkeys(values, UNSAVED)
        for group in saved.groups:
            digest = blake2b(group.stream)
            for buffer in group.buffers:
                digest.update(buffer)
            contents.update(dict.fromkeys(group.names, digest.digest()))
        groups = [group.names for group in saved.groups]
        if tells:
            self.tracker.saved(
                facts_of(
                    values,
                    saved,
                    self.tracker.types(),
                    namespace=self.namespace,
                    looks_for_code=looks_for_code,
                )
            )
        return Saving(contents, {n: id(v) for n, v in values.items()}, groups)

    def missed(self, before: Saving, after: Saving) -> set[str]:
        """Names with other content that nobody would save again."""
        to_save = self.tracker.to_save()
        if to_save is None:
            return set()
        changed = {
            name
            for name in before.contents.keys() & after.contents.keys()
            if before.contents[name] != after.contents[name]
            and before.ids[name] == after.ids[name]  # others are found by their identity
        }
        return changed - to_save


def set_up(session: Session, cells: Sequence[str], *, looks_for_code: bool = False) -> Saving:
    """Run cells and save twice: the first time may fill caches of what is saved."""
    session.fresh()
    for cell in cells:
        session.run(cell)
        assert not session.has_failed, cell
    session.save()
    return session.save(tells=True, looks_for_code=looks_for_code)
