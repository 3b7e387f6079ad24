"""How classes are taken apart that no import finds, those of the notebook above all (pure).

Called by the pickler of `saving`.

A class is kept as what `class` made it of: metaclass, name, bases, and its attributes one by one,
set after it is made, because methods refer to their class. The metaclass is not called again: what
it made of the class (members of an enumeration, fields of a named tuple, the keys of a typed dict)
is among the attributes. So is what a decorator did. Only classes and metaclasses of C code have
more to them than that, and are refused.
"""

import abc
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from flow_kernel.session.checkpoints import class_rebuild as rebuild
from flow_kernel.session.checkpoints import instance_rebuild
from flow_kernel.session.checkpoints.by_name import MAIN, alone, is_by_value, is_found, is_made_in_c

Reduced = tuple[Any, ...]

# `__slotnames__` is what `copyreg` finds out when an instance is first taken apart.
_MADE_ANEW: Final = frozenset(["__dict__", "__weakref__", "_abc_impl", "__slotnames__"])
_SAID_AT_ONCE: Final = ("__module__", "__doc__", "__slots__", "__orig_bases__")
_SET_LIKE: Final = (set, frozenset)
# What members of an enumeration can be besides; each is made by its own `__new__`.
_MEMBER_TYPES: Final = (int, str, float, bytes, tuple, complex)
_CACHED: Final = type(functools.lru_cache(len))
# Told apart by identity, so a copy would be another thing.
_SENTINELS: Final = {
    id(getattr(dataclasses, name)): name
    for name in ("MISSING", "KW_ONLY", "_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR",
                 "_HAS_DEFAULT_FACTORY", "_EMPTY_METADATA")
    if hasattr(dataclasses, name)
}  # fmt: skip


def reason_against(kind: Any) -> str | None:
    """Why a class that no import finds cannot be kept; None when it can."""
    name = kind.__name__[:60]
    if is_made_in_c(kind):
        return f"class {name} is made by C code"
    for meta in type(kind).__mro__:
        if meta not in (type, object) and is_made_in_c(meta):
            return f"class {name} has the metaclass {type(kind).__name__}, which is made by C code"
    for base in kind.__mro__[1:]:
        if (hook := vars(base).get("__init_subclass__")) is not None:
            if not is_by_value(base) and not _needs_nothing(hook):
                return f"class {name}: its base {base.__name__} wants arguments for each subclass"
            break
    own = vars(kind)
    slots = [one for one, value in own.items() if type(value) is types.MemberDescriptorType]
    if len(slots) > len(_slots(own)):
        return f"class {name}: nobody knows its __slots__ any more"
    return None


def _slots(own: typing.Mapping[str, Any]) -> list[str]:
    declared = own.get("__slots__", ())
    return [declared] if isinstance(declared, str) else list(declared)


def _needs_nothing(hook: Any) -> bool:
    try:
        inspect.signature(hook.__func__).bind(object)
    except TypeError:
        return False
    except (AttributeError, ValueError):
        return True  # of C code: that of `object`
    return True


def by_value(kind: Any) -> Reduced:
    """A class as what it consists of."""
    own = dict(vars(kind))
    fixed = {name: own[name] for name in _SAID_AT_ONCE if name in own}
    fixed["__qualname__"] = alone(kind.__qualname__)
    made = (type(kind), alone(kind.__name__), kind.__bases__, fixed)
    attributes = {
        alone(name): value
        for name, value in own.items()
        if name not in _MADE_ANEW
        and name not in fixed
        and type(value) is not types.MemberDescriptorType
    }
    # The order of a set is chance, and so is whether a name in it is an attribute's.
    sets = {
        name: (type(value), [alone(one) for one in sorted(value)])
        for name, value in own.items()
        if (type(value) in _SET_LIKE or name == "__static_attributes__")
        and {*map(type, value)} <= {str}
    }
    state = (attributes | dict.fromkeys(map(alone, sets)), sets, _registered(kind))
    return rebuild.notebook_class, made, state, None, None, rebuild.set_class_state


def _registered(kind: Any) -> list[type]:
    """Classes that were declared subclasses of an abstract one."""
    if not isinstance(kind, abc.ABCMeta):
        return []
    alive = [one for ref in rebuild.abc_dump(kind)[0] if (one := ref()) is not None]
    return sorted(alive, key=lambda one: (one.__module__, one.__qualname__))


def member(value: Enum) -> Reduced | None:
    """A member of an enumeration that is kept by value; None for one that is found by its name.

    Returns:
        What makes it without the class's own `__new__`, so that no name is looked up.
    """
    kind = type(value)
    if is_found(kind):
        return None
    base: Any = next(one for one in kind.__mro__ if is_made_in_c(one))
    if base in _MEMBER_TYPES:
        arguments = base.__getnewargs__(value)
    else:
        arguments = () if base is object else base.__reduce__(value)[1]
    made = (kind, base, arguments)
    return (
        rebuild.member,
        made,
        object.__getstate__(value),
        None,
        None,
        instance_rebuild.set_plain_state,
    )


def dataclass_word(value: Any) -> Reduced | None:
    """A value of `dataclasses` that is known by its identity; None for anything else."""
    name = _SENTINELS.get(id(value))
    return None if name is None else (rebuild.dataclass_word, (name,))


def _property(value: property) -> Reduced:
    is_inherited = value.fget is not None and value.fget.__doc__ is value.__doc__
    return property, (value.fget, value.fset, value.fdel, None if is_inherited else value.__doc__)


def _cached_property(value: Any) -> Reduced:
    return rebuild.cached_property, (value.func, value.attrname)


def cached_function(value: Any) -> Reduced | None:
    """A function with a cache, which comes back empty: a cache may forget at any time."""
    if is_found(value):
        return None
    options = value.cache_parameters()
    made = (value.__wrapped__, options["maxsize"], options["typed"])
    return rebuild.cached_function, made, vars(value), None, None, rebuild.set_attributes


def _type_variable(value: Any) -> Reduced | None:
    """By its name alone, pickle would find whatever has that name when it is loaded."""
    if value.__module__ != MAIN:
        return None
    if type(value) is not typing.TypeVar:
        return rebuild.other_variable, (type(value), value.__name__)
    variance = (value.__covariant__, value.__contravariant__)
    made = (value.__name__, value.__constraints__, value.__bound__, *variance)
    return rebuild.type_variable, made


def _new_type(value: Any) -> Reduced | None:
    if value.__module__ != MAIN:
        return None
    made = (typing.NewType, value.__name__, value.__supertype__)
    return rebuild.other_variable, made, vars(value), None, None, rebuild.set_attributes


def _type_alias(value: Any) -> Reduced | None:
    if value.__module__ != MAIN or value.__type_params__:
        return None
    return rebuild.other_variable, (type(value), value.__name__, value.__value__)


PARTS: Final[dict[Any, Callable[[Any], Reduced | None]]] = {
    staticmethod: lambda value: (staticmethod, (value.__func__,)),
    classmethod: lambda value: (classmethod, (value.__func__,)),
    property: _property,
    functools.cached_property: _cached_property,
    _CACHED: cached_function,
    **dict.fromkeys((typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), _type_variable),
    typing.NewType: _new_type,
    **{type(getattr(dataclasses, name)): dataclass_word for name in _SENTINELS.values()},
}
if (_alias := getattr(typing, "TypeAliasType", None)) is not None:  # from Python 3.12 on
    PARTS[_alias] = _type_alias
