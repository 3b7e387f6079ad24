"""How classes of the notebook are taken apart (pure).

Called by the pickler of `saving`.

A class is kept as what `class` made it of: metaclass, name, bases, and its attributes one by one,
set after it is made, because methods refer to their class. Metaclasses that do more than that
(enumerations, typed dicts, those of the user) cannot be called again with the same result; their
classes are refused with the reason.
"""

import dataclasses
import functools
import types
import typing
from abc import ABCMeta
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.session.checkpoints import class_rebuild as rebuild

Reduced = tuple[Any, ...]

_PLAIN: Final = (type, ABCMeta)
_CACHED: Final = type(functools.lru_cache(len))
_MADE_ANEW: Final = frozenset(["__dict__", "__weakref__", "_abc_impl"])
_SAID_AT_ONCE: Final = ("__module__", "__slots__", "__orig_bases__")
# Told apart by identity, so a copy would be another thing.
_SENTINELS: Final = {
    id(getattr(dataclasses, name)): name
    for name in ("MISSING", "KW_ONLY", "_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR",
                 "_HAS_DEFAULT_FACTORY")
    if hasattr(dataclasses, name)
}  # fmt: skip


_PARTS: Final[dict[type, Callable[[Any], Reduced]]] = {
    staticmethod: lambda value: (staticmethod, (value.__func__,)),
    classmethod: lambda value: (classmethod, (value.__func__,)),
    property: lambda value: (property, (value.fget, value.fset, value.fdel, value.__doc__)),
    functools.cached_property: lambda value: (
        rebuild.cached_property,
        (value.func, value.attrname),
    ),
    types.MappingProxyType: lambda value: (rebuild.read_only, (dict(value),)),
}


def reason_against(kind: type) -> str | None:
    """Why a class of the notebook cannot be kept; None when it can."""
    name = kind.__name__[:60]
    if type(kind) not in _PLAIN:
        return f"class {name} has the metaclass {type(kind).__name__}"
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return f"class {name} is a named tuple"
    return None


def notebook_class(kind: Any) -> Reduced:
    """A class with a plain metaclass."""
    own = dict(vars(kind))
    fixed = {name: own[name] for name in _SAID_AT_ONCE if name in own}
    fixed["__qualname__"] = kind.__qualname__
    made = (type(kind), kind.__name__, kind.__bases__, fixed)
    state = {
        name: value
        for name, value in own.items()
        if name not in _MADE_ANEW
        and name not in fixed
        and type(value) is not types.MemberDescriptorType
    }
    return rebuild.notebook_class, made, state, None, None, rebuild.set_class_state


def part_of_class(value: Any) -> Reduced | None:
    """What pickle cannot take apart and classes are full of; None for anything else."""
    kind = type(value)
    if kind in _PARTS:
        return _PARTS[kind](value)
    if kind in (typing.TypeVar, _CACHED) and value.__module__ == "__main__":
        return _named_in_the_notebook(value)
    if (name := _SENTINELS.get(id(value))) is not None:
        return rebuild.dataclass_word, (name,)
    return None


def _named_in_the_notebook(value: Any) -> Reduced:
    """By its name alone, pickle would find whatever has that name when it is loaded."""
    if type(value) is _CACHED:
        options = value.cache_parameters()
        return rebuild.cached_function, (value.__wrapped__, options["maxsize"], options["typed"])
    variance = (value.__covariant__, value.__contravariant__)
    made = (value.__name__, value.__constraints__, value.__bound__, *variance)
    return rebuild.type_variable, made
