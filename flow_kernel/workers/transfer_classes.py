"""How functions and classes are taken apart that the other process cannot import (pure).

Called by the pickler of `transfer`; what puts them together again is in `transfer_rebuild`.

Plain pickle writes of a function or class only where to import it. What a notebook defines is in
`__main__`, and that of the other process is another module. Such a class is sent as what `class`
made of it: metaclass, name, bases, and its attributes one by one, set after it is made, because
methods refer to their class. What a metaclass or a decorator did is among the attributes.
"""

import abc
import dataclasses
import functools
import inspect
import marshal
import pickle
import sys
import types
import typing
from collections.abc import Callable
from enum import Enum
from importlib.util import MAGIC_NUMBER
from typing import Any, Final

from flow_kernel.workers import transfer_rebuild as rebuild
from flow_kernel.workers.transfer_known import CLASSES
from flow_kernel.workers.transfer_rebuild import MAIN

Reduced = tuple[Any, ...]

_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_BY_C: Final = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
)
# `__slotnames__` is what `copyreg` finds out when an instance is first taken apart.
_MADE_ANEW: Final = frozenset(["__dict__", "__weakref__", "_abc_impl", "__slotnames__"])
_SAID_AT_ONCE: Final = ("__module__", "__doc__", "__slots__", "__orig_bases__")
_MEMBER_TYPES: Final = (int, str, float, bytes, tuple, complex)
_CACHED: Final = type(functools.lru_cache(len))
# Told apart by identity, so a copy would be another thing.
_SENTINELS: Final = {
    id(getattr(dataclasses, name)): name
    for name in ("MISSING", "KW_ONLY", "_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR",
                 "_HAS_DEFAULT_FACTORY", "_EMPTY_METADATA")
    if hasattr(dataclasses, name)
}  # fmt: skip


def is_found(value: Any) -> bool:
    """True for a class or function that its module, which is loaded, has under its name."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if type(module) is not str or type(name) is not str or module == MAIN or "<" in name:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def _is_made_in_c(kind: Any) -> bool:
    """True for a class that no `class` statement can make again."""
    if not kind.__flags__ & _HEAP_TYPE:
        return True
    return any(
        isinstance(value, _BY_C) and value.__objclass__ is kind
        for name, value in vars(kind).items()
        if name not in ("__dict__", "__weakref__")
    )


def _reason_against(kind: Any) -> str | None:
    """Why a class cannot be sent as what it consists of; None when it can."""
    name = kind.__name__[:60]
    for meta in type(kind).__mro__:
        if meta not in (type, object) and _is_made_in_c(meta):
            return f"class {name} has the metaclass {type(kind).__name__}, which is made by C code"
    for base in kind.__mro__[1:]:
        if (hook := vars(base).get("__init_subclass__")) is not None:
            if is_found(base) and not _needs_nothing(hook):
                return f"class {name}: its base {base.__name__} wants arguments for each subclass"
            break
    return None


def _needs_nothing(hook: Any) -> bool:
    try:
        inspect.signature(hook.__func__).bind(object)
    except TypeError:
        return False
    except (AttributeError, ValueError):
        return True  # of C code: that of `object`
    return True


def a_class(kind: Any) -> Reduced | None:
    """A class as what it consists of; None for one that is found by its name.

    Raises:
        PicklingError: No `class` statement can make it again.
    """
    if is_found(kind) or _is_made_in_c(kind):
        return None
    if (reason := _reason_against(kind)) is not None:
        raise pickle.PicklingError(reason)
    own = dict(vars(kind))
    fixed = {name: own[name] for name in _SAID_AT_ONCE if name in own}
    fixed["__qualname__"] = kind.__qualname__
    made = (type(kind), kind.__name__, kind.__bases__, fixed, CLASSES.id_of(kind))
    attributes = {
        name: value
        for name, value in own.items()
        if name not in _MADE_ANEW
        and name not in fixed
        and type(value) is not types.MemberDescriptorType
    }
    state = (attributes, _registered(kind))
    return rebuild.a_class, made, state, None, None, rebuild.set_class


def _registered(kind: Any) -> list[type]:
    """Classes that were declared subclasses of an abstract one."""
    if not isinstance(kind, abc.ABCMeta):
        return []
    return [one for ref in rebuild.abc_dump(kind)[0] if (one := ref()) is not None]


def member(value: Enum) -> Reduced | None:
    """A member of an enumeration that is sent by value; None for one that is found by its name."""
    kind = type(value)
    if is_found(kind):
        return None
    base: Any = next(one for one in kind.__mro__ if _is_made_in_c(one))
    if base in _MEMBER_TYPES:
        arguments = base.__getnewargs__(value)
    else:
        arguments = () if base is object else base.__reduce__(value)[1]
    state = dict(vars(value))
    made = (kind, base, arguments, state.get("_name_"))
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
    options = value.cache_parameters()
    made = (value.__wrapped__, options["maxsize"], options["typed"])
    return rebuild.cached_function, made, vars(value), None, None, rebuild.set_attributes


def _dataclass_word(value: Any) -> Reduced | None:
    name = _SENTINELS.get(id(value))
    return None if name is None else (rebuild.dataclass_word, (name,))


def _proxy(value: Any) -> Reduced:
    return _dataclass_word(value) or (types.MappingProxyType, (dict(value),))


def _property(value: property) -> Reduced:
    is_inherited = value.fget is not None and value.fget.__doc__ is value.__doc__
    return property, (value.fget, value.fset, value.fdel, None if is_inherited else value.__doc__)


def _type_variable(value: Any) -> Reduced | None:
    if value.__module__ != MAIN:
        return None
    if type(value) is not typing.TypeVar:
        return rebuild.other_variable, (type(value), value.__name__)
    options = {
        "bound": value.__bound__,
        "covariant": value.__covariant__,
        "contravariant": value.__contravariant__,
    }
    return rebuild.type_variable, (value.__name__, value.__constraints__, options)


def _new_type(value: Any) -> Reduced | None:
    if value.__module__ != MAIN:
        return None
    return rebuild.other_variable, (typing.NewType, value.__name__, value.__supertype__)


def _type_alias(value: Any) -> Reduced | None:
    if value.__module__ != MAIN or value.__type_params__:
        return None
    return rebuild.other_variable, (type(value), value.__name__, value.__value__)


PARTS: Final[dict[Any, Callable[[Any], Reduced | None]]] = {
    types.CodeType: _code,
    types.CellType: _cell,
    types.ModuleType: _module,
    types.MethodType: _method,
    types.MappingProxyType: _proxy,
    staticmethod: lambda value: (staticmethod, (value.__func__,)),
    classmethod: lambda value: (classmethod, (value.__func__,)),
    property: _property,
    functools.cached_property: lambda value: (
        rebuild.cached_property,
        (value.func, value.attrname),
    ),
    _CACHED: _cached_function,
    **dict.fromkeys((typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), _type_variable),
    typing.NewType: _new_type,
    **{
        type(getattr(dataclasses, name)): _dataclass_word
        for name in _SENTINELS.values()
        if name != "_EMPTY_METADATA"
    },
}
if (_alias := getattr(typing, "TypeAliasType", None)) is not None:  # from Python 3.12 on
    PARTS[_alias] = _type_alias
