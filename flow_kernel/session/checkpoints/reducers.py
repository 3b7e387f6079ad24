"""How kinds of values are taken apart that pickle cannot, or not exactly (pure).

Called by the pickler of `saving`; what puts them together again is in `rebuild`.
"""

import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.session.checkpoints import rebuild

Reduced = tuple[Any, ...]
Reducer = Callable[[Any], Reduced]


def module(value: types.ModuleType) -> Reduced:
    """A module is imported again."""
    return rebuild.module, (value.__name__,)


def function(value: types.FunctionType, namespace: dict[str, Any]) -> Reduced:
    """A function of the notebook, or one that has no name in its module: code, bound again.

    The state comes later than the object itself, so that a function may refer to itself.
    """
    state = {
        "defaults": value.__defaults__,
        "kwdefaults": value.__kwdefaults__,
        "annotations": value.__annotations__,
        "doc": value.__doc__,
        "module": value.__module__,
        "qualname": value.__qualname__,
        "dict": value.__dict__,
        "type_params": getattr(value, "__type_params__", ()),
    }
    around: Any = namespace if value.__globals__ is namespace else value.__globals__["__name__"]
    made = (rebuild.code_bytes(value.__code__), around, value.__name__, value.__closure__)
    return rebuild.function, made, state, None, None, rebuild.set_function_state


def is_nameless(value: types.FunctionType) -> bool:
    """True for a function that another function of a module made: no import finds it."""
    around = value.__globals__
    module_name = around.get("__name__")
    module_of_it = sys.modules.get(module_name) if type(module_name) is str else None
    return (
        "<locals>" in value.__code__.co_qualname
        and module_of_it is not None
        and vars(module_of_it) is around
    )


def cell(value: types.CellType) -> Reduced:
    """A variable of a closure; two functions that share one share it afterwards."""
    content: tuple[Any, ...]
    try:
        content = (value.cell_contents,)
    except ValueError:  # not bound yet
        content = ()
    return rebuild.cell, (), content, None, None, rebuild.set_cell


def array(value: Any) -> Reduced | None:
    """A numpy array: a view as a view of its owner; an owner with its layout and its flags.

    Returns:
        None where numpy's own way is right.
    """
    import numpy as np  # only where an array has come, so it is loaded

    owner = _owner(value, np.ndarray)
    if owner is not value:
        return _view(value, owner) if type(owner) is np.ndarray else None
    if value.base is not None:
        return None
    if value.dtype == object:
        # Filled after it is made: what it holds may be views of it.
        empty = (value.shape, "F" if value.flags.f_contiguous else "C")
        content = (list(value.flat), bool(value.flags.writeable))
        return rebuild.object_array, empty, content, None, None, rebuild.fill_object_array
    is_one_block = value.flags.c_contiguous or value.flags.f_contiguous
    return _whole(value, np) if is_one_block and not value.dtype.hasobject else None


def _view(value: Any, owner: Any) -> Reduced | None:
    if owner.dtype.hasobject != value.dtype.hasobject:
        return None
    offset = _address(value) - _address(owner)
    made = (owner, offset, value.shape, value.strides, value.dtype, bool(value.flags.writeable))
    return rebuild.view, made


def _whole(value: Any, np: Any) -> Reduced:
    order = "C" if value.flags.c_contiguous else "F"
    flat = value.reshape(-1, order=order).view(np.uint8) if value.size else np.empty(0, np.uint8)
    out_of_band = pickle.PickleBuffer(flat)
    made = (out_of_band, value.dtype, value.shape, order, bool(value.flags.writeable))
    return rebuild.owner, made


def _owner(value: Any, kind: type) -> Any:
    owner = value
    while isinstance(owner.base, kind):
        owner = owner.base
    return owner


def _address(value: Any) -> int:
    address: int = value.__array_interface__["data"][0]
    return address


UNSAVEABLE: Final[dict[type, str]] = {
    types.GeneratorType: "a generator that has begun cannot be copied",
    types.CoroutineType: "a coroutine cannot be copied",
    types.AsyncGeneratorType: "an async generator cannot be copied",
    types.FrameType: "a stack frame cannot be copied",
    types.TracebackType: "a traceback cannot be copied",
    io.TextIOWrapper: "an open file",
    io.BufferedReader: "an open file",
    io.BufferedWriter: "an open file",
    io.BufferedRandom: "an open file",
    io.FileIO: "an open file",
}
"""Why values of a type are not saved, in words better than those of pickle."""
