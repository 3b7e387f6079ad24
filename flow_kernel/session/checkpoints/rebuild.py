"""Puts values together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import importlib
import marshal
import types
from typing import Any, Final

# Later formats depend on who else refers to a constant: equal functions would look different.
_MARSHAL: Final = 2


def module(name: str) -> types.ModuleType:
    """A module, imported when it is not."""
    return importlib.import_module(name)


def code_bytes(code: types.CodeType) -> bytes:
    """A code object; readable by the same version of Python."""
    return marshal.dumps(code, _MARSHAL)


def function(
    code: bytes,
    around: dict[str, Any] | str,
    name: str,
    closure: tuple[types.CellType, ...] | None,
) -> types.FunctionType:
    """A function of a namespace or of a module; its state may refer to the function itself."""
    namespace = vars(importlib.import_module(around)) if isinstance(around, str) else around
    return types.FunctionType(marshal.loads(code), namespace, name, None, closure)  # noqa: S302 - a signed checkpoint


def set_function_state(value: types.FunctionType, state: dict[str, Any]) -> None:
    """The state of a function."""
    value.__defaults__ = state["defaults"]
    value.__kwdefaults__ = state["kwdefaults"]
    value.__annotations__ = state["annotations"]
    value.__doc__ = state["doc"]
    value.__module__ = state["module"]
    value.__qualname__ = state["qualname"]
    value.__dict__.update(state["dict"])
    if state["type_params"]:
        value.__type_params__ = state["type_params"]  # type: ignore[attr-defined]  # from 3.12 on


def cell() -> types.CellType:
    """A variable of a closure that is not bound yet."""
    return types.CellType()


def set_cell(value: types.CellType, content: tuple[Any, ...]) -> None:
    """Bind it."""
    if content:
        value.cell_contents = content[0]


def owner(data: Any, dtype: Any, shape: tuple[int, ...], order: str, is_writeable: bool) -> Any:
    """An array that owns its memory."""
    import numpy as np  # only where an array is loaded

    made = np.empty(shape, dtype, order="C" if order == "C" else "F")
    if made.size:
        made.reshape(-1, order=order).view(np.uint8)[...] = np.frombuffer(data, np.uint8)  # type: ignore[call-overload]  # order is C or F
    made.flags.writeable = is_writeable
    return made


def object_array(shape: tuple[int, ...], order: str) -> Any:
    """An array of objects, without them."""
    import numpy as np  # only where an array is loaded

    return np.empty(shape, object, order="C" if order == "C" else "F")


def fill_object_array(value: Any, content: tuple[list[Any], bool]) -> None:
    """Put the objects in, one by one: lists among them are no rows."""
    objects, is_writeable = content
    for place, one in enumerate(objects):
        value.flat[place] = one
    value.flags.writeable = is_writeable


def view(
    owner: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: Any,
    is_writeable: bool,
) -> Any:
    """A view of an array."""
    import numpy as np  # only where an array is loaded

    if dtype.hasobject:
        flat = np.lib.stride_tricks.as_strided(owner, (owner.size,), (dtype.itemsize,))
        made = np.lib.stride_tricks.as_strided(flat[offset // dtype.itemsize :], shape, strides)
    else:
        made = np.ndarray(shape, dtype, owner, offset, strides)
    if made.flags.writeable and not is_writeable:
        made.flags.writeable = False
    return made
