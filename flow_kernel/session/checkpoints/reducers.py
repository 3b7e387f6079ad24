"""How functions and what they are made of are taken apart (pure).

Called by the pickler of `saving`; what puts them together again is in `rebuild`.
"""

import random
import sys
import types
from collections.abc import Callable
from typing import Any

from flow_kernel.records.class_parts import MAIN
from flow_kernel.session.checkpoints import rebuild
from flow_kernel.session.checkpoints.by_name import alone, is_found
from flow_kernel.session.checkpoints.refusals import Unsaveable

Reduced = tuple[Any, ...]
Reducer = Callable[[Any], Reduced | None]


def module(value: types.ModuleType) -> Reduced:
    """A module is imported again."""
    name = value.__name__
    if sys.modules.get(name) is not value or (value.__spec__ is None and name != MAIN):
        raise Unsaveable(f"no import finds the module {name[:60]}")
    return rebuild.module, (name,)


def function(value: types.FunctionType, namespace: dict[str, Any]) -> Reduced:
    """A function of the notebook, or one that its module does not have: code, bound again.

    The state comes later than the object itself, so that a function may refer to itself.
    """
    module = value.__module__
    state = (
        value.__defaults__,
        value.__kwdefaults__,
        value.__annotations__,
        value.__doc__,
        alone(module) if type(module) is str else module,
        alone(value.__qualname__),
        value.__dict__,
        getattr(value, "__type_params__", ()),
    )
    around = _around(value.__globals__, namespace)
    made = (value.__code__, around, alone(value.__name__), value.__closure__)
    return rebuild.function, made, state, None, None, rebuild.set_function_state


def _around(own: dict[str, Any], namespace: dict[str, Any]) -> dict[str, Any] | str:
    """Where a function looks names up: the notebook, a module by its name, or a dict of its own."""
    if own is namespace:
        return own
    name: Any = own.get("__name__")
    known = sys.modules.get(name) if type(name) is str else None
    is_its = type(name) is str and known is not None and vars(known) is own
    return alone(name) if is_its else own


def code(value: types.CodeType) -> Reduced:
    """Code; two functions that were made of the same go on being."""
    return rebuild.code, (rebuild.code_bytes(value),)


def cell(value: types.CellType) -> Reduced:
    """A variable of a closure; two functions that share one share it afterwards."""
    content: tuple[Any, ...]
    try:
        content = (value.cell_contents,)
    except ValueError:  # not bound yet
        content = ()
    return rebuild.cell, (), content, None, None, rebuild.set_cell


def method(value: types.MethodType) -> Reduced | None:
    """A bound method: of the function it was made of, whatever has its name now.

    Returns:
        None where its class, found by name, still has that function under its name.
    """
    name = value.__func__.__name__ if hasattr(value.__func__, "__name__") else ""
    owner = value.__self__ if isinstance(value.__self__, type) else type(value.__self__)
    for kind in owner.__mro__:
        if name in vars(kind):
            found = vars(kind)[name]
            is_same = getattr(found, "__func__", found) is value.__func__
            is_hidden = name in getattr(value.__self__, "__dict__", ())
            if is_same and is_found(kind) and not is_hidden:
                return None
            break
    return types.MethodType, (value.__func__, value.__self__)


def built_in(value: Any) -> Reduced | None:
    """A method of C code, which pickle finds by its name; None where that is the same one.

    Raises:
        Unsaveable: It is not: a class of the user hides it.
    """
    owner = getattr(value, "__self__", None)
    if owner is None or isinstance(owner, types.ModuleType | type):
        return None
    if owner is vars(random)["_inst"]:
        return getattr, (random, value.__name__)
    if getattr(owner, value.__name__, None) != value:
        raise Unsaveable(f"a method {value.__name__} that its class hides")
    return None


def unnamed(value: object) -> Reduced | None:
    """A plain `object()`, told apart by its identity: by name where a library has it."""
    for name, module in list(sys.modules.items()):
        if name != MAIN and isinstance(module, types.ModuleType):
            for attribute, known in list(vars(module).items()):
                if known is value:
                    return rebuild.attribute, (name, attribute)
    return None
