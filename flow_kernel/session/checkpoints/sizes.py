"""How much there is to save, at a glance (pure).

Called by `service`, which waits for a small checkpoint and leaves a large one to the background.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

SMALL_BYTES: Final = 16 * 1024 * 1024
"""Below it a checkpoint takes a few hundredths of a second to the disk."""

_SAMPLED: Final = 20
_DEPTH: Final = 3
_SIZED: Final = (str, bytes, bytearray)
_NO_CLASS: Final = object()
_OBJECT_BYTES: Final = 64
"""What one small object weighs: pickling it takes as long as copying some hundred bytes."""


def is_small(values: Iterable[object], *, most_bytes: int = SMALL_BYTES) -> bool:
    """True when all of them together are quickly saved; no code of their classes runs.

    Args:
        values: Of variables.
        most_bytes: What counts as small.
    """
    total = 0
    for value in values:
        total += _estimate(value, _DEPTH)
        if total > most_bytes:
            return False
    return True


def _estimate(value: Any, depth: int) -> int:
    """Bytes, roughly; what is not known counts as one small object."""
    kind = type(value)
    if kind in _SIZED:
        return len(value)
    if kind in (list, tuple, set, frozenset, dict):
        return _container(value, kind, depth)
    if kind is loaded_class("numpy", "ndarray"):
        weight = _OBJECT_BYTES if value.dtype.hasobject else value.dtype.itemsize
        return int(value.size * weight)
    if kind in (loaded_class("pandas", "DataFrame"), loaded_class("pandas", "Series")):
        return _pandas(value)
    if kind is loaded_class("torch", "Tensor"):
        return int(value.numel() * value.element_size())
    return _OBJECT_BYTES


def loaded_class(module: str, name: str) -> object:
    """A class of a module, where that is loaded; nothing's class otherwise."""
    loaded = sys.modules.get(module)
    return vars(loaded).get(name, _NO_CLASS) if loaded is not None else _NO_CLASS


def _container(value: Any, kind: type, depth: int) -> int:
    count = len(value)
    if not count or not depth:
        return count * _OBJECT_BYTES
    inside = value.values() if kind is dict else value
    sample = []
    try:
        for one in inside:
            sample.append(one)
            if len(sample) == _SAMPLED:
                break
    except RuntimeError:  # another thread changes it
        return count * _OBJECT_BYTES
    weight = sum(_estimate(one, depth - 1) for one in sample) // len(sample)
    return count * (weight + _OBJECT_BYTES)


def _pandas(value: Any) -> int:
    """What the blocks of a frame or a series weigh."""
    total = 0
    for block in value._mgr.blocks:
        dtype = block.values.dtype
        weight = _OBJECT_BYTES if dtype.kind == "O" else getattr(dtype, "itemsize", _OBJECT_BYTES)
        total += block.values.size * weight
    return int(total)


def idents(values: Mapping[str, object]) -> dict[str, int]:
    """`id` of each value."""
    return {name: id(value) for name, value in values.items()}
