"""Functions of Python that everything needs, for when a cell has put others in their place.

Used by `shell.overrides.repairs` around each cell.

A cell may replace `len`; the kernel uses it to take the next request and to send the reply. Where
the user's does not do what Python's does, stock ipykernel hangs or ends. So between cells the
builtins are Python's own, and each cell finds those that the last one has left. When a cell fails
before its code has run, or after, those of the user may be the reason, and no cell can put that
right any more: they are dropped for good.

The others in the lists are not touched until a cell has failed so: libraries replace them for good
reasons, also for what runs between cells. The clocks of the kernel's loops are Python's own all the
time.

None of the user's functions is ever called here.
"""

import asyncio
import builtins
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_SET_ASIDE: Final[tuple[tuple[ModuleType, tuple[str, ...]], ...]] = (
    (
        builtins,
        (
            *("__import__", "isinstance", "issubclass", "len", "getattr", "hasattr", "next"),
            *("iter", "callable", "max", "min", "sorted", "any", "all", "repr"),
        ),
    ),
    (time, ("time", "monotonic")),
    (os, ("getpid",)),
)
_LEFT_ALONE: Final[tuple[tuple[ModuleType, tuple[str, ...]], ...]] = (
    (builtins, ("__build_class__",)),
    (time, ("perf_counter", "sleep")),
    (os, ("write", "read")),
    (signal, ("signal",)),
    (asyncio, ("get_event_loop",)),
)
_MISSING: Final = object()
_Owned = tuple[dict[str, Any], str, str, Any]


class PatchedFunctions:
    """Those of this process, as they were when the kernel started."""

    def __init__(self) -> None:
        self._own = [*_now(_SET_ASIDE)]
        self._others = [*_now(_LEFT_ALONE)]
        self._aside: list[tuple[dict[str, Any], str, Any]] = []

    @property
    def are_there(self) -> bool:
        """One of Python's has another in its place."""
        return any(
            owner.get(name, _MISSING) is not own
            for owner, _, name, own in (*self._own, *self._others)
        )

    def set_aside(self) -> None:
        """The cell has ended: have Python's own."""
        for owner, _, name, own in self._own:
            found = owner.get(name, _MISSING)
            if found is not own:
                self._aside.append((owner, name, found))
                owner[name] = own

    def put_back(self) -> None:
        """A cell begins: have those that the last one left."""
        while self._aside:
            owner, name, found = self._aside.pop()
            if found is _MISSING:
                owner.pop(name, None)
            else:
                owner[name] = found

    def drop(self) -> list[str]:
        """Have Python's own from now on.

        Returns:
            The names of those that were others.
        """
        dropped = [
            (owner, module, name, own)
            for owner, module, name, own in (*self._own, *self._others)
            if owner.get(name, _MISSING) is not own
        ]
        for owner, _, name, own in dropped:
            owner[name] = own
        return [f"{module}.{name}" for _, module, name, _ in dropped]


def _now(functions: Iterable[tuple[ModuleType, tuple[str, ...]]]) -> Iterator[_Owned]:
    for module, names in functions:
        for name in names:
            yield vars(module), module.__name__, name, vars(module)[name]


class KeptModules:
    """`sys.modules`, for when a cell has emptied it: nothing can be imported then."""

    def __init__(self) -> None:
        self._modules = sys.modules
        self._kept = dict(sys.modules)

    def mend(self) -> bool:
        """Bring all back that there were, if the first of all is gone; True if it was."""
        if self._modules.get("sys") is sys:
            if len(self._modules) != len(self._kept):
                self._kept = dict(self._modules)
            return False
        for name, module in self._kept.items():
            self._modules.setdefault(name, module)
        return True


def keep_clocks(loops: Iterable[Any]) -> None:
    """Have the loops of tornado read Python's own clock, whatever a cell puts in its place."""
    for loop in loops:
        loop.time = time.time
        loop.asyncio_loop.time = time.monotonic
