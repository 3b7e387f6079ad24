"""Which modules a cell brought in (pure but for `sys.modules`).

Called by the recorder at the start and at the end of a cell.

A dict keeps the order of insertion, so new modules are at its end: one look at the length and the
last key tells that nothing was imported, whatever the number of modules.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final, NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

# The table that the import system uses; a cell may bind another dict to `sys.modules`.
_modules: Final = sys.modules

# pyzmq loads it in whichever thread is the first to send a large message, at any time.
_OF_MESSAGES: Final = frozenset({"zmq.utils.garbage"})


class ImportMark(NamedTuple):
    """How many modules there were, and the one imported last."""

    size: int
    last: str | None


class ImportWatch:
    """Remembers the modules that are known, for the rare cell that removes some."""

    __slots__ = ("_foreign", "_known")

    def __init__(self) -> None:
        self._known: set[str] = {name for name in tuple(_modules) if type(name) is str}
        self._foreign: set[str] = set(_OF_MESSAGES)

    def mark(self) -> ImportMark:
        """Where `sys.modules` ends now. About 0.3 us."""
        return ImportMark(len(_modules), next(reversed(_modules), None))

    def added_since(self, mark: ImportMark) -> list[str]:
        """Sorted names of modules imported since `mark`; O(new ones) when none was removed."""
        count = len(_modules)
        last = next(reversed(_modules), None)
        if count == mark.size and last is mark.last:
            return []
        added = self._tail(mark, count)
        if added is None:
            names = {name for name in tuple(_modules) if type(name) is str}
            added = list(names - self._known)
            self._known = names
        else:
            self._known.update(added)
        return sorted(set(added) - self._foreign)

    def disown(self, names: Iterable[str]) -> None:
        """Leave `names` out: another thread imports them while a cell runs, on its own behalf."""
        self._foreign.update(names)

    @contextmanager
    def own(self) -> Iterator[None]:
        """What is imported in the block is ours and of no cell; no code of a user runs there."""
        mark = self.mark()
        try:
            yield
        finally:
            self.disown(self.added_since(mark))

    def _tail(self, mark: ImportMark, count: int) -> list[str] | None:
        fresh: list[str] = []
        for _ in range(5):
            try:
                for name in reversed(_modules):
                    if name is mark.last:
                        return fresh
                    if len(fresh) > count - mark.size + 8:
                        return None  # the boundary is gone: something was removed
                    if type(name) is str:
                        fresh.append(name)
            except RuntimeError:  # another thread imports meanwhile
                fresh.clear()
                continue
            return None
        return None


def versions(names: Iterable[str]) -> dict[str, str | None]:
    """The version of each top-level package among `names`.

    Reads `__version__` from the module's own dict (no attribute access, which a module may
    intercept); None where it is missing or no exact string.
    """
    found: dict[str, str | None] = {}
    for top in sorted({name.partition(".")[0] for name in names}):
        module = _modules.get(top)
        version = module.__dict__.get("__version__") if type(module) is ModuleType else None
        found[top] = version if type(version) is str else None
    return found
