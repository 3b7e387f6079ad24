"""Puts classes together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable
from typing import Any

from flow_kernel.records import class_parts
from flow_kernel.session.checkpoints.by_name import called

Sets = dict[str, tuple[Callable[[Iterable[str]], Any], list[str]]]


def notebook_class(metaclass: Any, name: str, bases: tuple[Any, ...], fixed: dict[str, Any]) -> Any:
    """A class with what has to be said at once; its methods may refer to it and come later."""
    own = {**fixed, "__qualname__": called(fixed["__qualname__"])}
    return class_parts.make(metaclass, called(name), bases, own)


def set_class_state(made: Any, state: tuple[dict[str, Any], Sets, list[type]]) -> None:
    """Its attributes, in their order, past what its metaclass does when they are set."""
    attributes, sets, registered = state
    own: dict[str, Any] = {}
    for text, value in attributes.items():
        name = called(text)
        if name in sets:
            kind, items = sets[name]
            own[name] = kind(map(called, items))
        else:
            own[name] = value
    class_parts.fill(made, own, registered)


def member(kind: Any, base: Any, arguments: tuple[Any, ...]) -> Any:
    """A member of an enumeration, without its attributes."""
    return base.__new__(kind, *arguments)


def set_attributes(value: Any, state: dict[str, Any]) -> None:
    """Attributes of something that has no more to it."""
    vars(value).update(state)


def cached_property(function: Callable[[Any], Any], name: str | None) -> Any:
    """A property that is computed once."""
    return class_parts.cached_property(function, name)


def type_variable(
    name: str, constraints: tuple[Any, ...], bound: Any, *variance: bool
) -> typing.TypeVar:
    """A type variable; by its name alone pickle would find whatever has that name now."""
    is_co, is_contra = variance
    made: typing.TypeVar = class_parts.of_main(
        typing.TypeVar, name, *constraints, bound=bound, covariant=is_co, contravariant=is_contra
    )
    return made


def other_variable(kind: Any, *arguments: Any) -> Any:
    """Another word of typing that the notebook made."""
    return class_parts.of_main(kind, *arguments)


def cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """A function with a cache, which is empty."""
    return class_parts.cached_function(function, maxsize, typed)


def dataclass_word(name: str) -> Any:
    """A value of `dataclasses` that is known by its identity."""
    return getattr(dataclasses, name)
