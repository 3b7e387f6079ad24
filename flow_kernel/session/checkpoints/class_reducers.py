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
from abc import ABCMeta
from typing import Any, Final

from flow_kernel.session.checkpoints import class_rebuild as rebuild

Reduced = tuple[Any, ...]

_PLAIN: Final = (type, ABCMeta)
_MADE_ANEW: Final = frozenset(["__dict__", "__weakref__", "_abc_impl", "__slots__"])
# Told apart by identity, so a copy would be another thing.
_SENTINELS: Final = {
    id(getattr(dataclasses, name)): name
    for name in ("MISSING", "KW_ONLY", "_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR",
                 "_HAS_DEFAULT_FACTORY")
    if hasattr(dataclasses, name)
}  # fmt: skip


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
    slots = own.get("__slots__")
    made = (type(kind), kind.__name__, kind.__bases__, kind.__qualname__, kind.__module__, slots)
    state = {
        name: value
        for name, value in own.items()
        if name not in _MADE_ANEW and type(value) is not types.MemberDescriptorType
    }
    return rebuild.notebook_class, made, state, None, None, rebuild.set_class_state


def part_of_class(value: Any) -> Reduced | None:
    """What pickle cannot take apart and classes are full of; None for anything else."""
    kind = type(value)
    if kind is staticmethod or kind is classmethod:
        return kind, (value.__func__,)
    if kind is property:
        return property, (value.fget, value.fset, value.fdel, value.__doc__)
    if kind is functools.cached_property:
        return rebuild.cached_property, (value.func, value.attrname)
    if kind is types.MappingProxyType:
        return rebuild.read_only, (dict(value),)
    if (name := _SENTINELS.get(id(value))) is not None:
        return rebuild.dataclass_word, (name,)
    return None
