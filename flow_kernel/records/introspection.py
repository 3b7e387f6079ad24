"""Facts about any object that are read without running its class's code (pure).

Called by `summaries`, `samples` and `libraries`, inside a user's cell.

A class can answer every question about its instances with code of its own: `__class__`,
`__dict__`, `__module__`, and a metaclass answers for the class. So nothing here asks the object.
The slots of a type are read through the descriptors of `type` itself, and a class's namespace is
searched only when all its keys are plain strings: a look-up among others may call their `__eq__`.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from operator import is_
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_TYPE: Final = type.__dict__
_name_of: Final[Callable[[type], object]] = _TYPE["__qualname__"].__get__
_module_of: Final[Callable[[type], object]] = _TYPE["__module__"].__get__
_flags_of: Final[Callable[[type], int]] = _TYPE["__flags__"].__get__
mro_of: Final[Callable[[type], tuple[type, ...]]] = _TYPE["__mro__"].__get__
"""The classes that a class inherits from, itself first."""
class_dict: Final[Callable[[type], Mapping[str, object]]] = _TYPE["__dict__"].__get__
"""The read-only view of the namespace of a class."""
module_dict: Final[Callable[[object], dict[str, object]]] = vars(types.ModuleType)[
    "__dict__"
].__get__
"""The namespace of a module of exactly that type."""
_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class statement makes no other kind
_GETSET: Final = types.GetSetDescriptorType


def type_name(kind: type) -> str:
    """`module.Class` in at most 100 printable characters, without `builtins.`; about 0.5 us."""
    name = _name_of(kind)
    if type(name) is not str:  # a subclass of str is allowed there
        return "?"
    module = _module_name(kind)
    return one_line(name if module in ("", "builtins") else f"{module}.{name}", 100)


def short_type_name(kind: type) -> str:
    """The last part of the qualified name, in at most 28 printable characters."""
    name = _name_of(kind)
    return one_line(name.rpartition(".")[2], 28) if type(name) is str else "?"


def library_of(kind: type) -> str:
    """The top-level module that a class says it comes from, or nothing; about 0.7 us."""
    return _module_name(kind).partition(".")[0]


def is_class(kind: type) -> bool:
    """True when instances of `kind` are classes: it is a metaclass."""
    return any(map(is_, mro_of(kind), repeat(type)))


def is_static(kind: type) -> bool:
    """True for a type that C code laid out: no class statement of a user made it."""
    return not _flags_of(kind) & _HEAP_TYPE


def has_plain_names(names: Iterable[object]) -> bool:
    """True when all keys are exactly `str`, so that looking one up runs no code of a user."""
    return all(map(is_, map(type, names), repeat(str)))


def instance_dict(value: object) -> dict[str, object] | None:
    """The real `__dict__` of an instance, or None where it has none; about 1.5 us.

    A class may define `__dict__` as a property. The getter that the interpreter made for the first
    class with a dictionary is still there, nearest to `object`.
    """
    for base in mro_of(type(value))[-2::-1]:
        names = class_dict(base)
        if not is_static(base) and not has_plain_names(names):
            return None
        getter = names.get("__dict__")
        if type(getter) is _GETSET:
            try:
                found = getter.__get__(value)
            except (AttributeError, TypeError):  # another class's getter under this name
                return None
            return found if type(found) is dict else None
    return None


def one_line(text: str, width: int) -> str:
    """`text` cut to `width` characters, its unprintable ones as escapes; about 0.1 us."""
    if len(text) > width:
        text = f"{text[: width - 1]}…"
    if text.isprintable():
        return text
    text = "".join([c if c.isprintable() else ascii(c)[1:-1] for c in text])
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _module_name(kind: type) -> str:
    if not is_static(kind) and not has_plain_names(class_dict(kind)):
        return ""
    try:
        module = _module_of(kind)
    except AttributeError:  # the class statement's `__module__` was deleted
        return ""
    return module if type(module) is str else ""
