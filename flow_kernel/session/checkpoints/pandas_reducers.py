"""How frames and series are taken apart, so that they still copy on write afterwards (pure).

Called by the pickler of `saving` for classes of pandas.

pandas lets frames share memory until one of them is written to, and knows by a `BlockValuesRefs`
object, which the sharers have in common, that it has to copy then. Pickle forgets that object. Here
the memory is shared again after a load, so the knowledge has to come back with it: otherwise
writing to one frame would change another.
"""

import sys
from typing import Any, Final

from flow_kernel.session.checkpoints import pandas_rebuild as rebuild

_CACHE: Final = "_cache"


def frame(value: Any) -> tuple[Any, ...] | None:
    """A frame or a series, without the list of attributes that its class has for all of them."""
    made, arguments, state, *rest = value.__reduce_ex__(5)
    if type(state) is dict and state.get("_metadata") is type(value)._metadata:
        state = {name: one for name, one in state.items() if name != "_metadata"}
        return (made, arguments, state, *rest)
    return None


def array(value: Any) -> tuple[Any, ...] | None:
    """An array of pandas's own, without what it has worked out when somebody looked at it."""
    made, arguments, state, *rest = value.__reduce_ex__(5)
    parts = list(state) if type(state) is tuple else [state]
    for number, part in enumerate(parts):
        if type(part) is dict and _CACHE in part:
            kept = {name: one for name, one in part.items() if name != _CACHE}
            parts[number] = kept
            is_empty = not kept and type(state) is tuple and number == len(parts) - 1
            # What has no other attributes has no dict of them before anybody looks.
            shorter = tuple(parts[:-1]) if is_empty else tuple(parts)
            return (made, arguments, shorter if type(state) is tuple else kept, *rest)
    return None


def reduce(value: Any) -> tuple[Any, ...] | None:
    """A block, an index or their references; None where pickle's own way is right."""
    # A class of pandas has come, so these are loaded.
    internals: Any = sys.modules["pandas._libs.internals"]
    managers: Any = sys.modules["pandas.core.internals.managers"]
    if type(value) is internals.BlockValuesRefs:
        return rebuild.references, ()
    if isinstance(value, internals.Block):
        refs = getattr(value, "refs", None)
        place = value.mgr_locs.indexer
        return rebuild.block, (type(value), value.values, place, value.ndim, refs)
    if isinstance(value, managers.SingleBlockManager):
        return rebuild.single_manager, (type(value), value.blocks[0], value.axes[0])
    pandas: Any = sys.modules["pandas"]
    # A range has no memory, and the labels of several levels share theirs level by level.
    if isinstance(value, pandas.RangeIndex | pandas.MultiIndex):
        return None
    if isinstance(value, pandas.Index) and getattr(value, "_references", None) is not None:
        made, arguments = value.__reduce__()[:2]
        return rebuild.index, (made, arguments, value._references)
    return None
