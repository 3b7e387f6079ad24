"""The oracle of checkpoints: two graphs of values that nothing but their addresses tells apart.

Equal types and contents all the way down, the same objects in the same places, and memory shared
by exactly the same arrays. Classes and functions that are kept by value are compared like values.
"""

import collections
import functools
import types
from enum import Enum
from typing import Any, Final

import numpy as np
import pandas as pd

_BY_EQUALITY: Final = (str, bytes, int, float, bool, complex, type(None))
_SEEN_ANEW: Final = (tuple, frozenset, range, memoryview, types.MethodType, types.CodeType)
"""Whose identity nobody can rely on."""
_OF_A_CLASS: Final = ("__dict__", "__weakref__", "_abc_impl", "__slotnames__")


class Shapes:
    """Walks two graphs of values side by side."""

    def __init__(self) -> None:
        self._pairs: dict[int, int] = {}
        self._back: dict[int, int] = {}
        self._kept: list[object] = []
        self._arrays: list[tuple[Any, Any]] = []

    def compare(self, before: Any, after: Any, path: str) -> None:
        if isinstance(before, type):
            self._class(before, after, path)
            return
        self._class(type(before), type(after), f"type({path})")
        if type(before) in _BY_EQUALITY:
            assert before == after or repr(before) == repr(after), path
            return
        if isinstance(before, types.ModuleType):
            assert before is after, path
            return
        if isinstance(before, _SEEN_ANEW):
            if id(before) in self._pairs:
                return
        elif id(before) in self._pairs or id(after) in self._back:
            assert self._pairs.get(id(before)) == id(after), f"{path} is another object"
            return
        self._remember(before, after)
        self._inside(before, after, path)

    def _remember(self, before: object, after: object) -> None:
        self._pairs[id(before)], self._back[id(after)] = id(after), id(before)
        self._kept += [before, after]

    def _class(self, before: Any, after: Any, path: str) -> None:
        if before is after or id(before) in self._pairs:
            assert before is after or self._pairs[id(before)] == id(after), path
            return
        assert before.__module__ == after.__module__ == "__main__", path
        self._remember(before, after)
        assert (before.__name__, before.__qualname__) == (after.__name__, after.__qualname__), path
        self.compare(before.__bases__, after.__bases__, f"{path}.__bases__")
        own, back = ({**vars(kind)} for kind in (before, after))
        for attributes in (own, back):
            for name in list(attributes):
                if name in _OF_A_CLASS or hasattr(attributes[name], "__objclass__"):
                    del attributes[name]
        assert set(own) == set(back), path
        for name, value in own.items():
            self.compare(value, back[name], f"{path}.{name}")

    def _inside(self, before: Any, after: Any, path: str) -> None:
        if isinstance(before, np.ndarray):
            self._array(before, after, path)
        elif isinstance(before, pd.DataFrame | pd.Series):
            self._frame(before, after, path)
        elif isinstance(before, list | tuple | collections.deque):
            self._items(list(before), list(after), path)
        elif isinstance(before, dict):
            assert list(before) == list(after) or _has_keys_of_its_own(before), path
            self._items(list(before.items()), list(after.items()), path)
        elif isinstance(before, set | frozenset | bytearray | range | memoryview | types.CodeType):
            assert before == after, path
        elif isinstance(before, type({}.keys()) | type({}.values())):
            self._items(list(before), list(after), path)
        if not self._parts(before, after, path) and hasattr(before, "__dict__"):
            self.compare(vars(before), vars(after), f"{path}.__dict__")

    def _parts(self, before: Any, after: Any, path: str) -> bool:
        """Compare what is known of some kinds; True when there is no more to them."""
        names = next((names for kind, names in _PARTS.items() if isinstance(before, kind)), None)
        if names is not None:
            for name in names:
                one, other = _part(before, name), _part(after, name)
                self.compare(one, other, f"{path}.{name}")
        for kind in type(before).__mro__:
            for slot in vars(kind).get("__slots__", ()):
                self.compare(_part(before, slot), _part(after, slot), f"{path}.{slot}")
        return names is not None

    def _items(self, before: list[Any], after: list[Any], path: str) -> None:
        assert len(before) == len(after), path
        for n, (one, other) in enumerate(zip(before, after, strict=True)):
            self.compare(one, other, f"{path}[{n}]")

    def _array(self, before: Any, after: Any, path: str) -> None:
        assert before.dtype == after.dtype, path
        assert before.shape == after.shape, path
        assert before.strides == after.strides or before.size == 0, path
        assert before.flags.writeable == after.flags.writeable, path
        if before.dtype.hasobject:
            self._items(list(before.flat), list(after.flat), f"{path}.flat")
        else:
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
        for one, other in self._arrays:
            assert np.shares_memory(one, before) == np.shares_memory(other, after), path
        self._arrays.append((before, after))

    def _frame(self, before: Any, after: Any, path: str) -> None:
        same: Any = pd.testing.assert_frame_equal if before.ndim == 2 else None
        (same or pd.testing.assert_series_equal)(before, after)
        for one, other in zip(before._mgr.blocks, after._mgr.blocks, strict=True):
            if isinstance(one.values, np.ndarray):
                self._array(one.values, other.values, f"{path}.block")
            # A sharer that no variable has may be gone.
            assert one.refs.has_reference() or not other.refs.has_reference(), path


_NOT_BOUND: Final = "nothing is bound here"


def _part(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except (AttributeError, ValueError):
        return _NOT_BOUND


def _has_keys_of_its_own(value: dict[Any, Any]) -> bool:
    """True when some key is equal only to itself."""
    return any(type(key).__eq__ is object.__eq__ for key in value)


_PARTS: Final[dict[Any, tuple[str, ...]]] = {
    types.FunctionType: (
        *("__code__", "__defaults__", "__kwdefaults__", "__dict__", "__closure__", "__name__"),
        *("__qualname__", "__module__", "__annotations__"),
    ),
    types.CellType: ("cell_contents",),
    types.MethodType: ("__func__", "__self__"),
    functools.partial: ("func", "args", "keywords", "__dict__"),
    BaseException: ("args", "__cause__", "__context__", "__suppress_context__", "__dict__"),
    Enum: ("_name_", "_value_"),
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    np.ndarray: (),
    pd.DataFrame: (),
    pd.Series: (),
    set: (),
    frozenset: (),
    types.CodeType: (),
    collections.defaultdict: ("default_factory",),
    np.random.Generator: ("bit_generator",),
    np.random.BitGenerator: ("state",),
}
