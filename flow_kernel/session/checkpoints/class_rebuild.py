"""Puts classes of the notebook together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any


def notebook_class(metaclass: Any, name: str, bases: tuple[Any, ...], fixed: dict[str, Any]) -> Any:
    """A class with what has to be said at once; its methods may refer to it and come later."""
    return metaclass(name, bases, dict(fixed))


def set_class_state(made: Any, state: dict[str, Any]) -> None:
    """Its attributes, in their order."""
    for name, value in state.items():
        setattr(made, name, value)
    if hasattr(made, "__abstractmethods__"):
        made.__abstractmethods__ = state.get("__abstractmethods__", frozenset())


def cached_property(function: Callable[[Any], Any], name: str | None) -> Any:
    """A property that is computed once."""
    made = functools.cached_property(function)
    if name is not None:
        made.__set_name__(object, name)
    return made


def type_variable(
    name: str, constraints: tuple[Any, ...], bound: Any, *variance: bool
) -> typing.TypeVar:
    """A type variable; by its name alone pickle would find whatever has that name now."""
    is_co, is_contra = variance
    return typing.TypeVar(name, *constraints, bound=bound, covariant=is_co, contravariant=is_contra)


def cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """A function with a cache, which is empty."""
    return functools.lru_cache(maxsize, typed)(function)


def read_only(content: dict[Any, Any]) -> types.MappingProxyType[Any, Any]:
    """A dict that cannot be written to."""
    return types.MappingProxyType(content)


def dataclass_word(name: str) -> Any:
    """A value of `dataclasses` that is known by its identity."""
    return getattr(dataclasses, name)
