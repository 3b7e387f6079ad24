"""How functions and classes are taken apart that the other process cannot import (pure).

Called by the pickler of `transfer`; what puts them together again is in `transfer_rebuild`.

Plain pickle writes of a function or class only where to import it. What a notebook defines is in
`__main__`, and that of the other process is another module. Such a class is sent as what `class`
made of it: metaclass, name, bases, and its attributes one by one, set after it is made, because
methods refer to their class. What a metaclass or a decorator did is among the attributes.
"""

import dataclasses
import functools
import marshal
import pickle
import sys
import types
import typing
from collections.abc import Callable
from enum import Enum
from importlib.util import MAGIC_NUMBER
from typing import Any, Final

from flow_kernel.records import class_parts
from flow_kernel.records.class_parts import CACHED, MAIN, SENTINELS, is_made_in_c
from flow_kernel.workers import transfer_rebuild as rebuild
from flow_kernel.workers.transfer_known import CLASSES

Reduced = tuple[Any, ...]


def is_found(value: Any) -> bool:
    """True for a class or function that its module, which is loaded, has under its name."""
    return class_parts.is_found(value, sys.modules.get)


def a_class(kind: Any) -> Reduced | None:
    """A class as what it consists of; None for one that is found by its name.

    Raises:
        PicklingError: No `class` statement can make it again.
    """
    if is_found(kind) or is_made_in_c(kind):
        return None
    place = CLASSES.place_of(kind)
    if place is not None:
        return rebuild.class_at, place
    reason = class_parts.reason_against(kind, lambda base: not is_found(base))
    if reason is not None:
        raise pickle.PicklingError(reason)
    fixed = class_parts.said_at_once(kind)
    made = (type(kind), kind.__name__, kind.__bases__, fixed, CLASSES.id_of(kind))
    state = (class_parts.said_later(kind), class_parts.registered(kind))
    return rebuild.a_class, made, state, None, None, rebuild.set_class


def member(value: Enum) -> Reduced | None:
    """A member of an enumeration that is sent by value; None for one that is found by its name."""
    kind = type(value)
    if is_found(kind):
        return None
    base, arguments = class_parts.member(value)
    state = dict(vars(value))
    made = (kind, base, arguments, state.get("_name_"))
    if CLASSES.place_of(kind) is not None:  # the other process has it with all that it holds
        return rebuild.member, made
    return rebuild.member, made, state, None, None, rebuild.set_member


def function(value: types.FunctionType, own_globals: Any, private: dict[str, Any]) -> Reduced:
    """A function as its code and what belongs to it.

    Args:
        value: It.
        own_globals: What stands for its globals.
        private: Globals that go with it and that nothing else brings.
    """
    attributes = {
        name: getattr(value, name)
        for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__",
                     "__kwdefaults__", "__type_params__")
        if hasattr(value, name)
    }  # fmt: skip
    # From Python 3.14 on annotations are a function, which may name what is not there yet.
    lazy = "__annotate__" if hasattr(value, "__annotate__") else "__annotations__"
    attributes[lazy] = getattr(value, lazy)
    made = (value.__code__, own_globals, value.__closure__)
    state = (attributes, dict(vars(value)), private)
    return rebuild.function, made, state, None, None, rebuild.set_function


def _code(value: types.CodeType) -> Reduced:
    try:
        # Later versions write what else refers to a constant just now: other bytes each time.
        dumped = marshal.dumps(value, 2)
    except ValueError:  # a constant that they alone can write
        dumped = marshal.dumps(value)
    return rebuild.code, (MAGIC_NUMBER, dumped)


def _cell(value: types.CellType) -> Reduced:
    try:
        content = (value.cell_contents,)
    except ValueError:  # nothing yet
        return rebuild.cell, ()
    return rebuild.cell, (), content, None, None, rebuild.set_cell


def _module(value: types.ModuleType) -> Reduced:
    if sys.modules.get(value.__name__) is not value:
        raise pickle.PicklingError(f"no import finds the module {value.__name__[:60]}")
    return sys.modules["importlib"].import_module, (value.__name__,)


def _method(value: types.MethodType) -> Reduced | None:
    if isinstance(value.__func__, types.FunctionType) and not is_found(value.__func__):
        return rebuild.method, (value.__func__, value.__self__)
    return None


def _cached_function(value: Any) -> Reduced | None:
    if is_found(value):
        return None
    made = class_parts.of_cached_function(value)
    return class_parts.cached_function, made, vars(value), None, None, rebuild.set_attributes


def _dataclass_word(value: Any) -> Reduced | None:
    name = SENTINELS.get(id(value))
    return None if name is None else (getattr, (dataclasses, name))


def _proxy(value: Any) -> Reduced:
    return _dataclass_word(value) or (types.MappingProxyType, (dict(value),))


def _type_variable(value: Any) -> Reduced | None:
    if value.__module__ != MAIN:
        return None
    if type(value) is not typing.TypeVar:
        return class_parts.of_main, (type(value), value.__name__)
    options = {
        "bound": value.__bound__,
        "covariant": value.__covariant__,
        "contravariant": value.__contravariant__,
    }
    return rebuild.type_variable, (value.__name__, value.__constraints__, options)


def _new_type(value: Any) -> Reduced | None:
    if value.__module__ != MAIN:
        return None
    return class_parts.of_main, (typing.NewType, value.__name__, value.__supertype__)


def _type_alias(value: Any) -> Reduced | None:
    if value.__module__ != MAIN or value.__type_params__:
        return None
    return class_parts.of_main, (type(value), value.__name__, value.__value__)


PARTS: Final[dict[Any, Callable[[Any], Reduced | None]]] = {
    types.CodeType: _code,
    types.CellType: _cell,
    types.ModuleType: _module,
    types.MethodType: _method,
    types.MappingProxyType: _proxy,
    staticmethod: lambda value: (staticmethod, (value.__func__,)),
    classmethod: lambda value: (classmethod, (value.__func__,)),
    property: lambda value: (property, class_parts.of_property(value)),
    functools.cached_property: lambda value: (
        class_parts.cached_property,
        (value.func, value.attrname),
    ),
    CACHED: _cached_function,
    **dict.fromkeys((typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), _type_variable),
    typing.NewType: _new_type,
    **{
        type(getattr(dataclasses, name)): _dataclass_word
        for name in SENTINELS.values()
        if name != "_EMPTY_METADATA"
    },
}
if (_alias := getattr(typing, "TypeAliasType", None)) is not None:  # from Python 3.12 on
    PARTS[_alias] = _type_alias
