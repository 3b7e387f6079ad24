"""How classes are taken apart that no import finds, those of the notebook above all (pure).

Called by the pickler of `saving`.

A class is kept as what `class` made it of: metaclass, name, bases, and its attributes one by one,
set after it is made, because methods refer to their class. The metaclass is not called again: what
it made of the class (members of an enumeration, fields of a named tuple, the keys of a typed dict)
is among the attributes. So is what a decorator did. Only classes and metaclasses of C code have
more to them than that, and are refused.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from flow_kernel.records import class_parts
from flow_kernel.records.class_parts import CACHED, MAIN, SENTINELS, is_made_in_c
from flow_kernel.session.checkpoints import class_rebuild as rebuild
from flow_kernel.session.checkpoints import instance_rebuild
from flow_kernel.session.checkpoints.by_name import alone, is_by_value, is_found

Reduced = tuple[Any, ...]

_SET_LIKE: Final = (set, frozenset)


def reason_against(kind: Any) -> str | None:
    """Why a class that no import finds cannot be kept; None when it can."""
    name = kind.__name__[:60]
    if is_made_in_c(kind):
        return f"class {name} is made by C code"
    if (reason := class_parts.reason_against(kind, is_by_value)) is not None:
        return reason
    own = vars(kind)
    slots = [one for one, value in own.items() if type(value) is types.MemberDescriptorType]
    if len(slots) > len(_slots(own)):
        return f"class {name}: nobody knows its __slots__ any more"
    return None


def _slots(own: typing.Mapping[str, Any]) -> list[str]:
    declared = own.get("__slots__", ())
    return [declared] if isinstance(declared, str) else list(declared)


def by_value(kind: Any) -> Reduced:
    """A class as what it consists of."""
    fixed = class_parts.said_at_once(kind)
    fixed["__qualname__"] = alone(fixed["__qualname__"])
    made = (type(kind), alone(kind.__name__), kind.__bases__, fixed)
    attributes = {alone(name): value for name, value in class_parts.said_later(kind).items()}
    # The order of a set is chance, and so is whether a name in it is an attribute's.
    sets = {
        name: (type(value), [alone(one) for one in sorted(value)])
        for name, value in vars(kind).items()
        if (type(value) in _SET_LIKE or name == "__static_attributes__")
        and {*map(type, value)} <= {str}
    }
    state = (attributes | dict.fromkeys(map(alone, sets)), sets, class_parts.registered(kind))
    return rebuild.notebook_class, made, state, None, None, rebuild.set_class_state


def member(value: Enum) -> Reduced | None:
    """A member of an enumeration that is kept by value; None for one that is found by its name.

    Returns:
        What makes it without the class's own `__new__`, so that no name is looked up.
    """
    kind = type(value)
    if is_found(kind):
        return None
    base, arguments = class_parts.member(value)
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
    name = SENTINELS.get(id(value))
    return None if name is None else (rebuild.dataclass_word, (name,))


def _cached_property(value: Any) -> Reduced:
    return rebuild.cached_property, (value.func, value.attrname)


def cached_function(value: Any) -> Reduced | None:
    """A function with a cache, which comes back empty: a cache may forget at any time."""
    if is_found(value):
        return None
    made = class_parts.of_cached_function(value)
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
    property: lambda value: (property, class_parts.of_property(value)),
    functools.cached_property: _cached_property,
    CACHED: cached_function,
    **dict.fromkeys((typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), _type_variable),
    typing.NewType: _new_type,
    **{type(getattr(dataclasses, name)): dataclass_word for name in SENTINELS.values()},
}
if (_alias := getattr(typing, "TypeAliasType", None)) is not None:  # from Python 3.12 on
    PARTS[_alias] = _type_alias
