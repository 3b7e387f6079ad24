"""Puts functions together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import importlib
import marshal
import types
from typing import Any, Final

from flow_kernel.session.checkpoints.by_name import called

# Later formats depend on who else refers to a constant: equal functions would look different.
_MARSHAL: Final = 2


def module(name: str) -> types.ModuleType:
    """A module, imported when it is not."""
    return importlib.import_module(name)


def attribute(module_name: str, name: str) -> Any:
    """What a module has under a name."""
    return getattr(importlib.import_module(module_name), name)


def code_bytes(code: types.CodeType) -> bytes:
    """A code object; readable by the same version of Python."""
    return marshal.dumps(code, _MARSHAL)


def code(data: bytes) -> types.CodeType:
    """Code of `code_bytes`."""
    found: types.CodeType = marshal.loads(data)  # noqa: S302 - a signed checkpoint
    return found


def function(
    code: types.CodeType,
    around: dict[str, Any] | str,
    name: str,
    closure: tuple[types.CellType, ...] | None,
) -> types.FunctionType:
    """A function of a namespace or of a module; its state may refer to the function itself."""
    if isinstance(around, str):
        around = vars(importlib.import_module(called(around)))
    return types.FunctionType(code, around, called(name), None, closure)


def set_function_state(value: types.FunctionType, state: tuple[Any, ...]) -> None:
    """The state of a function."""
    value.__defaults__, value.__kwdefaults__, value.__annotations__, *others = state
    value.__doc__, module, qualname, attributes, type_params = others
    value.__module__ = called(module) if isinstance(module, str) else module
    value.__qualname__ = called(qualname)
    value.__dict__.update(attributes)
    if type_params:
        value.__type_params__ = type_params  # type: ignore[attr-defined]  # from 3.12 on


def cell() -> types.CellType:
    """A variable of a closure that is not bound yet."""
    return types.CellType()


def set_cell(value: types.CellType, content: tuple[Any, ...]) -> None:
    """Bind it."""
    if content:
        value.cell_contents = content[0]
