"""Whether nobody but one variable can see its memory (pure).

Called by `reusing`. References are counted in the way in which those of an object that surely has
one are: what counting adds differs from one Python to the next.
"""

import sys
from collections.abc import Mapping
from typing import Any, Final


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


def owners(namespace: Mapping[str, Any], name: str) -> list[Any]:
    """The arrays that own the memory of a variable, where nobody else can see them.

    Args:
        namespace: Has the variable.
        name: Of an array, a frame or a series; others have none.
    """
    once = _Once()
    if sys.getrefcount(namespace[name]) != once.item:
        return []
    kind = type(namespace[name])
    if kind is _class("numpy", "ndarray"):
        found = [namespace[name]]
    elif kind in (_class("pandas", "DataFrame"), _class("pandas", "Series")):
        found = _of_blocks(namespace[name], once)
    else:
        return []
    return [one for one in found if _is_owner(one)]


def _of_blocks(frame: Any, once: _Once) -> list[Any]:
    if sys.getrefcount(vars(frame)) != once.attributes:
        return []
    attributes = vars(frame)
    if sys.getrefcount(attributes["_mgr"]) != once.item:
        return []
    if sys.getrefcount(attributes["_mgr"].blocks) != once.attribute:
        return []
    blocks = attributes["_mgr"].blocks
    arrays = (_of_block(blocks, number, once) for number in range(len(blocks)))
    return [one for one in arrays if one is not None]


def _of_block(blocks: tuple[Any, ...], number: int, once: _Once) -> Any:
    if sys.getrefcount(blocks[number]) != once.element:
        return None
    if sys.getrefcount(blocks[number].values) != once.attribute:
        return None
    values = blocks[number].values
    if type(values) is not _class("numpy", "ndarray") or values.base is None:
        return values
    return values.base if sys.getrefcount(values.base) == once.attribute else None


def _is_owner(array: Any) -> bool:
    return (
        type(array) is _class("numpy", "ndarray")
        and array.base is None
        and array.flags.owndata
        and array.flags.forc
        and not array.dtype.hasobject
    )


def address_of(array: Any) -> int:
    """Where the memory of an array begins."""
    address: int = array.__array_interface__["data"][0]
    return address


def _class(module: str, name: str) -> object:
    """A class of a module, where that is loaded."""
    loaded = sys.modules.get(module)
    return vars(loaded).get(name) if loaded is not None else None
