"""What the tests of checkpoints compare: values, and what they share.

`same_shape(before, after)` is the oracle: equal types and contents all the way down, the same
objects in the same places, and memory shared by exactly the same arrays.
"""

import sys
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from flow_kernel.session.checkpoints.anchors import Anchors, anchors_of
from flow_kernel.session.checkpoints.loading import load
from flow_kernel.session.checkpoints.saving import Saved, save


def saved_and_loaded(namespace: dict[str, Any]) -> tuple[dict[str, Any], Saved]:
    """The variables of a namespace in a new one."""
    names = {name: value for name, value in namespace.items() if not name.startswith("__")}
    anchors = anchors_of(namespace, {})
    saved = save(names, anchors)
    fresh: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    return loaded(saved, anchors, fresh), saved


def loaded(saved: Saved, anchors: Anchors, fresh: dict[str, Any]) -> dict[str, Any]:
    here = anchors_of(fresh, {})
    for group in saved.groups:
        buffers = [bytes(buffer) for buffer in group.buffers]
        values = load(group.stream, buffers, here, anchors.names())
        fresh.update(zip(group.names, values, strict=True))
    return fresh


def run(source: str) -> dict[str, Any]:
    """The namespace after a cell, as a kernel has it: that of the module `__main__`."""
    module = types.ModuleType("__main__")
    ours = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        exec(source, vars(module))
    finally:
        sys.modules["__main__"] = ours
    return vars(module)


class Shapes:
    """Walks two graphs of values side by side."""

    def __init__(self) -> None:
        self._pairs: dict[int, int] = {}
        self._back: dict[int, int] = {}
        self._kept: list[object] = []
        self._arrays: list[tuple[Any, Any]] = []

    def compare(self, before: object, after: object, path: str) -> None:
        assert type(before) is type(after), path
        if isinstance(before, str | bytes | int | float | bool | complex | type | None):
            assert before == after or repr(before) == repr(after), path
            return
        if isinstance(before, types.ModuleType):
            assert before is after, path
            return
        if isinstance(before, tuple | frozenset | range):  # whose identity nobody can rely on
            if id(before) in self._pairs:
                return
        elif id(before) in self._pairs or id(after) in self._back:
            assert self._pairs.get(id(before)) == id(after), f"{path} is another object"
            return
        self._pairs[id(before)], self._back[id(after)] = id(after), id(before)
        self._kept += [before, after]
        self._inside(before, after, path)

    def _inside(self, before: Any, after: Any, path: str) -> None:
        if isinstance(before, np.ndarray):
            self._array(before, after, path)
        elif isinstance(before, list | tuple):
            assert len(before) == len(after), path
            for n, (one, other) in enumerate(zip(before, after, strict=True)):
                self.compare(one, other, f"{path}[{n}]")
        elif isinstance(before, dict):
            assert list(before) == list(after), path
            for key in before:
                self.compare(before[key], after[key], f"{path}[{key!r}]")
        elif isinstance(before, set | frozenset | bytearray | range):
            assert before == after, path
        elif isinstance(before, types.FunctionType):
            assert before.__code__ == after.__code__, path
            for part in ("__defaults__", "__kwdefaults__", "__dict__", "__closure__"):
                self.compare(getattr(before, part), getattr(after, part), f"{path}.{part}")
        elif isinstance(before, types.CellType):
            self.compare(_content(before), _content(after), f"{path}.cell")
        elif hasattr(before, "bit_generator"):
            assert repr(before.bit_generator.state) == repr(after.bit_generator.state), path
        elif hasattr(before, "__dict__"):
            self.compare(vars(before), vars(after), f"{path}.__dict__")
        else:
            assert before == after, path

    def _array(self, before: Any, after: Any, path: str) -> None:
        assert before.dtype == after.dtype, path
        assert before.shape == after.shape, path
        assert before.strides == after.strides or before.size == 0, path
        assert before.flags.writeable == after.flags.writeable, path
        if before.dtype.hasobject:
            for n, (one, other) in enumerate(zip(before.flat, after.flat, strict=True)):
                self.compare(one, other, f"{path}.flat[{n}]")
        else:
            np.testing.assert_array_equal(before, after)
        for one, other in self._arrays:
            assert np.shares_memory(one, before) == np.shares_memory(other, after), path
        self._arrays.append((before, after))


def _content(cell: types.CellType) -> tuple[object, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def assert_same(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    shapes = Shapes()
    names = [name for name in before if not name.startswith("__")]
    assert sorted(names) == sorted(name for name in after if not name.startswith("__"))
    for name in names:
        shapes.compare(before[name], after[name], name)
