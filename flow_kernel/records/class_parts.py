"""What classes consist of, and what puts them together past their own hooks (pure).

Used by `workers.transfer_classes`, which sends classes to another process, and by
`session.checkpoints.class_reducers`, which keeps them; each has its own words for the parts.
"""

import abc
import dataclasses
import functools
import importlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final

MAIN: Final = "__main__"
CACHED: Final = type(functools.lru_cache(len))
"""The class of functions with a cache."""
# Told apart by identity, so a copy would be another thing.
SENTINELS: Final[Mapping[int, str]] = {
    id(getattr(dataclasses, name)): name
    for name in ("MISSING", "KW_ONLY", "_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR",
                 "_HAS_DEFAULT_FACTORY", "_EMPTY_METADATA")
    if hasattr(dataclasses, name)
}  # fmt: skip
"""Ids of the values of `dataclasses` that are known by their identity, and their names."""

_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_BY_C: Final = (
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
)
_MADE_BY_TYPE: Final = ("__dict__", "__weakref__")
# `__slotnames__` is what `copyreg` finds out when an instance is first taken apart.
_MADE_ANEW: Final = frozenset([*_MADE_BY_TYPE, "_abc_impl", "__slotnames__"])
_SAID_AT_ONCE: Final = ("__module__", "__doc__", "__slots__", "__orig_bases__")
_STAYS: Final = frozenset([*_SAID_AT_ONCE, "_abc_impl"])
# What members of an enumeration can be besides; each is made by its own `__new__`.
_MEMBER_TYPES: Final = (int, str, float, bytes, tuple, complex)


def is_found(value: Any, module_of: Callable[[str], Any]) -> bool:
    """True for a class or function that its module has under its name.

    Args:
        value: It.
        module_of: The module of a name; None where there is none.
    """
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if type(module) is not str or type(name) is not str or module == MAIN or "<" in name:
        return False
    found = module_of(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is value


def is_made_in_c(kind: Any) -> bool:
    """True for a class that no `class` statement can make again."""
    if not kind.__flags__ & _HEAP_TYPE:
        return True
    return any(
        isinstance(value, _BY_C) and value.__objclass__ is kind
        for name, value in vars(kind).items()
        if name not in _MADE_BY_TYPE
    )


def reason_against(kind: Any, comes_along: Callable[[Any], bool]) -> str | None:
    """What hinders a class of Python's making to be made again, past its own C code.

    Args:
        kind: It.
        comes_along: True for a base that is taken apart as well, so that its hook can be held.
    """
    name = kind.__name__[:60]
    for meta in type(kind).__mro__:
        if meta not in (type, object) and is_made_in_c(meta):
            return f"class {name} has the metaclass {type(kind).__name__}, which is made by C code"
    for base in kind.__mro__[1:]:
        if (hook := vars(base).get("__init_subclass__")) is not None:
            if not comes_along(base) and not _needs_nothing(hook):
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


def said_at_once(kind: Any) -> dict[str, Any]:
    """What of a class has to be there when it is made, `__qualname__` last."""
    own = vars(kind)
    fixed = {name: own[name] for name in _SAID_AT_ONCE if name in own}
    return fixed | {"__qualname__": kind.__qualname__}


def said_later(kind: Any) -> dict[str, Any]:
    """Attributes that are set when the class is there: they may refer to it."""
    return {
        name: value
        for name, value in dict(vars(kind)).items()
        if name not in _MADE_ANEW
        and name not in _SAID_AT_ONCE
        and type(value) is not types.MemberDescriptorType
    }


def registered(kind: Any) -> list[type]:
    """Classes that were declared subclasses of an abstract one, by their names."""
    if not isinstance(kind, abc.ABCMeta):
        return []
    alive = [one for ref in _in_c()._get_dump(kind)[0] if (one := ref()) is not None]
    return sorted(alive, key=lambda one: (one.__module__, one.__qualname__))


def make(metaclass: Any, name: str, bases: tuple[Any, ...], fixed: Mapping[str, Any]) -> Any:
    """A class with `said_at_once`, past what its metaclass and its bases do with a new one."""
    with _no_hooks(bases):
        made = type.__new__(metaclass, name, bases, dict(fixed))
    if isinstance(made, abc.ABCMeta):
        _in_c()._abc_init(made)
    return made


@contextmanager
def _no_hooks(bases: tuple[Any, ...]) -> Iterator[None]:
    """What bases of the session do with each subclass, they did: it is among what comes back."""
    hooks = {
        kind: vars(kind)["__init_subclass__"]
        for base in bases
        for kind in base.__mro__
        if kind.__module__ == MAIN and "__init_subclass__" in vars(kind)
    }
    for kind in hooks:
        type.__setattr__(kind, "__init_subclass__", classmethod(_nothing))
    try:
        yield
    finally:
        for kind, hook in hooks.items():
            type.__setattr__(kind, "__init_subclass__", hook)


def _nothing(_: type) -> None:
    """In the place of a hook."""


def fill(made: Any, attributes: Mapping[str, Any], subclasses: list[type]) -> None:
    """Give a class its attributes, in their order, past what its metaclass does when they are set.

    Args:
        made: It; what it has beyond what was said at once goes away.
        attributes: `said_later`.
        subclasses: `registered`.
    """
    for name in list(vars(made)):
        if name not in _STAYS and not hasattr(vars(made)[name], "__objclass__"):
            type.__delattr__(made, name)
    for name, value in attributes.items():
        type.__setattr__(made, name, value)
    for one in subclasses:
        abc.ABCMeta.register(made, one)


def _in_c() -> Any:
    """The C half of `abc`, which type checkers do not know."""
    return importlib.import_module("_abc")


def member(value: Enum) -> tuple[Any, tuple[Any, ...]]:
    """The class whose `__new__` makes a member of an enumeration, and its arguments."""
    base: Any = next(one for one in type(value).__mro__ if is_made_in_c(one))
    if base in _MEMBER_TYPES:
        return base, base.__getnewargs__(value)
    return base, () if base is object else base.__reduce__(value)[1]


def of_property(value: property) -> tuple[Any, ...]:
    """What `property` takes; a text that is only its getter's comes with that."""
    is_inherited = value.fget is not None and value.fget.__doc__ is value.__doc__
    return value.fget, value.fset, value.fdel, None if is_inherited else value.__doc__


def of_cached_function(value: Any) -> tuple[Any, ...]:
    """Function, size and typing of a cache, which may forget at any time."""
    options = value.cache_parameters()
    return value.__wrapped__, options["maxsize"], options["typed"]


def cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """A function with a cache, which is empty."""
    return functools.lru_cache(maxsize, typed)(function)


def cached_property(function: Callable[[Any], Any], name: str | None) -> Any:
    """A property that is computed once."""
    made = functools.cached_property(function)
    if name is not None:
        made.__set_name__(object, name)
    return made


def of_main(kind: Any, *arguments: Any, **options: Any) -> Any:
    """A word of typing that the session made; by its name alone pickle would find another one."""
    made = kind(*arguments, **options)
    made.__module__ = MAIN
    return made
