"""Whether nobody but some variables can see their memory (pure).

Called by `reusing`. References are counted in the way in which those of an object that surely has
one are: what counting adds differs from one Python to the next.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flow_kernel.session.checkpoints.sizes import loaded_class


class _Holder:
    def __init__(self) -> None:
        self.content: Any = object()


class _Once:
    """How many references there seem to be of an object that has one."""

    def __init__(self) -> None:
        in_dict, holder, in_tuple = {0: object()}, _Holder(), (object(),)
        self.item: Final = sys.getrefcount(in_dict[0])
        self.attribute: Final = sys.getrefcount(holder.content)
        self.attributes: Final = sys.getrefcount(vars(holder))
        self.element: Final = sys.getrefcount(in_tuple[0])


def owners(namespace: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """The arrays that own the memory of variables, where nobody else can see them.

    Args:
        namespace: Has the variables.
        names: Of arrays, frames and series; others have none.
    """
    once = _Once()
    by_object: dict[int, list[str]] = {}
    for name in names:
        by_object.setdefault(id(namespace[name]), []).append(name)
    found = (_of_object(namespace, alike, once) for alike in by_object.values())
    return [one for some in found for one in some if _is_owner(one)]


def _of_object(namespace: Mapping[str, Any], names: Sequence[str], once: _Once) -> list[Any]:
    """Of one object, which has these names."""
    name = names[0]
    if sys.getrefcount(namespace[name]) != once.item + len(names) - 1:
        return []
    kind = type(namespace[name])
    if kind is loaded_class("numpy", "ndarray"):
        return [namespace[name]]
    if kind in (loaded_class("pandas", "DataFrame"), loaded_class("pandas", "Series")):
        return _of_blocks(namespace[name], once)
    return []


def _of_blocks(frame: Any, once: _Once) -> list[Any]:
    if sys.getrefcount(vars(frame)) != once.attributes:
        return []
    attributes = vars(frame)
    if sys.getrefcount(attributes["_mgr"]) != once.item:
        return []
    own = _own_references(attributes["_mgr"], once)
    if sys.getrefcount(attributes["_mgr"].blocks) != once.attribute + own:
        return []
    blocks = attributes["_mgr"].blocks
    arrays = [_of_block(blocks, number, once) for number in range(len(blocks))]
    bases: dict[int, list[Any]] = {}
    for values in arrays:
        if values is not None:
            bases.setdefault(id(values if values.base is None else values.base), []).append(values)
    return [one for alike in bases.values() if (one := _of_views(alike, once)) is not None]


def _own_references(manager: Any, once: _Once) -> int:
    """How often a manager refers to its blocks beside `blocks`: with their types, once asked."""
    cached = getattr(manager, "_dtypes_cache", None)  # pandas 3.1
    if type(cached) is not tuple or cached[0] is not manager.blocks:
        return 0
    del cached
    return int(sys.getrefcount(manager._dtypes_cache) == once.attribute)


def _of_block(blocks: tuple[Any, ...], number: int, once: _Once) -> Any:
    """The values of a block; None where somebody else sees them, or they are no array."""
    if sys.getrefcount(blocks[number]) != once.element:
        return None
    if sys.getrefcount(blocks[number].values) != once.attribute:
        return None
    values = blocks[number].values
    return values if type(values) is loaded_class("numpy", "ndarray") else None


def _of_views(views: Sequence[Any], once: _Once) -> Any:
    """What arrays of one frame are all views of, where they are the only ones."""
    first = views[0]
    if first.base is None:
        return first
    return first.base if sys.getrefcount(first.base) == once.attribute + len(views) - 1 else None


def _is_owner(array: Any) -> bool:
    return (
        type(array) is loaded_class("numpy", "ndarray")
        and array.base is None
        and array.flags.owndata
        and array.flags.forc
        and not array.dtype.hasobject
    )


def address_of(array: Any) -> int:
    """Where the memory of an array begins."""
    address: int = array.__array_interface__["data"][0]
    return address
