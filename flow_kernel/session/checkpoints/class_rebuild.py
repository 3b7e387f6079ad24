"""Puts classes together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

import abc
import dataclasses
import functools
import importlib
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from flow_kernel.session.checkpoints.by_name import MAIN, called

Sets = dict[str, tuple[Callable[[Iterable[str]], Any], list[str]]]


def notebook_class(metaclass: Any, name: str, bases: tuple[Any, ...], fixed: dict[str, Any]) -> Any:
    """A class with what has to be said at once; its methods may refer to it and come later."""
    own = {**fixed, "__qualname__": called(fixed["__qualname__"])}
    with _no_hooks(bases):
        made = type.__new__(metaclass, called(name), bases, own)
    if isinstance(made, abc.ABCMeta):
        _in_c()._abc_init(made)
    return made


@contextmanager
def _no_hooks(bases: tuple[Any, ...]) -> Iterator[None]:
    """What the notebook's bases do with each subclass, they did: it is among what comes back."""
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


def set_class_state(made: Any, state: tuple[dict[str, Any], Sets, list[type]]) -> None:
    """Its attributes, in their order, past what its metaclass does when they are set."""
    attributes, sets, registered = state
    for name in list(vars(made)):
        if name not in _STAYS and not hasattr(vars(made)[name], "__objclass__"):
            type.__delattr__(made, name)
    for text, value in attributes.items():
        name = called(text)
        if name in sets:
            kind, items = sets[name]
            type.__setattr__(made, name, kind(map(called, items)))
        else:
            type.__setattr__(made, name, value)
    for one in registered:
        abc.ABCMeta.register(made, one)


_STAYS = frozenset(["__module__", "__doc__", "__slots__", "__orig_bases__", "_abc_impl"])


def abc_dump(kind: type) -> Any:
    """What the C code of abstract classes knows of one: registered classes first."""
    return _in_c()._get_dump(kind)


def _in_c() -> Any:
    """The C half of `abc`, which type checkers do not know."""
    return importlib.import_module("_abc")


def member(kind: Any, base: Any, arguments: tuple[Any, ...]) -> Any:
    """A member of an enumeration, without its attributes."""
    return base.__new__(kind, *arguments)


def set_attributes(value: Any, state: dict[str, Any]) -> None:
    """Attributes of something that has no more to it."""
    vars(value).update(state)


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
    make: Any = typing.TypeVar
    made: typing.TypeVar = make(
        name, *constraints, bound=bound, covariant=is_co, contravariant=is_contra
    )
    made.__module__ = MAIN
    return made


def other_variable(kind: Any, *arguments: Any) -> Any:
    """Another word of typing that the notebook made."""
    made = kind(*arguments)
    made.__module__ = MAIN
    return made


def cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """A function with a cache, which is empty."""
    return functools.lru_cache(maxsize, typed)(function)


def dataclass_word(name: str) -> Any:
    """A value of `dataclasses` that is known by its identity."""
    return getattr(dataclasses, name)
