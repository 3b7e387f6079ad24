"""Puts values together again; named in what is sent, so both sides have these names.

Called by the unpickler of `transfer`.
"""

import abc
import dataclasses
import functools
import importlib
import marshal
import sys
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import MAGIC_NUMBER
from typing import Any, Final

from flow_kernel.workers.transfer_known import CLASSES

MAIN: Final = "__main__"
SEPARATORS: Final = ("\0", "\x1e")
_STAYS: Final = frozenset(["__module__", "__doc__", "__slots__", "__orig_bases__", "_abc_impl"])


def code(magic: bytes, dumped: bytes) -> types.CodeType:
    """Compiled code.

    Raises:
        ImportError: It was compiled by another version of Python.
    """
    if magic != MAGIC_NUMBER:
        raise ImportError("its code was compiled by another version of Python")
    made: types.CodeType = marshal.loads(dumped)  # noqa: S302 - what unpickles trusts its sender
    return made


def cell() -> types.CellType:
    """A cell of a closure, whose content comes later: it may be the function itself."""
    return types.CellType()


def set_cell(made: types.CellType, content: tuple[Any]) -> None:
    """What the cell holds."""
    made.cell_contents = content[0]


def globals_of(module: str) -> dict[str, Any]:
    """The globals of a module that both sides can import."""
    return vars(importlib.import_module(module))


def function(
    code: types.CodeType, own_globals: dict[str, Any], closure: tuple[types.CellType, ...] | None
) -> types.FunctionType:
    """A function without what may refer to it."""
    return types.FunctionType(code, own_globals, None, None, closure)


def method(function: Callable[..., Any], owner: Any) -> types.MethodType:
    """A method of its owner."""
    return types.MethodType(function, owner)


def set_function(made: types.FunctionType, state: tuple[dict[str, Any], ...]) -> None:
    """Its attributes, and those of its globals that are sent with it and nothing else."""
    attributes, own, private = state
    for name, value in attributes.items():
        setattr(made, name, value)
    vars(made).update(own)
    made.__globals__.update(private)


def a_class(
    metaclass: Any, name: str, bases: tuple[Any, ...], fixed: dict[str, Any], class_id: str
) -> Any:
    """A class with what has to be said at once; its methods may refer to it and come later.

    One that was here before is that class again: its instances are one kind.
    """
    known = CLASSES.known(class_id)
    if known is not None:
        return known
    with _no_hooks(bases):
        made = type.__new__(metaclass, name, bases, dict(fixed))
    if isinstance(made, abc.ABCMeta):
        _in_c()._abc_init(made)
    CLASSES.came(class_id, made)
    return made


@contextmanager
def _no_hooks(bases: tuple[Any, ...]) -> Iterator[None]:
    """What bases of the session do with each subclass, they did: it is among what comes."""
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


def set_class(made: Any, state: tuple[dict[str, Any], list[type]]) -> None:
    """Its attributes, in their order, past what its metaclass does when they are set.

    What this process has made is what it says, whatever another one did to its copy.
    """
    if CLASSES.is_own(made):
        return
    attributes, registered = state
    for name in list(vars(made)):
        if name not in _STAYS and not hasattr(vars(made)[name], "__objclass__"):
            type.__delattr__(made, name)
    for name, value in attributes.items():
        type.__setattr__(made, name, value)
    for one in registered:
        abc.ABCMeta.register(made, one)


def abc_dump(kind: type) -> Any:
    """What the C code of abstract classes knows of one: registered classes first."""
    return _in_c()._get_dump(kind)


def _in_c() -> Any:
    """The C half of `abc`, which type checkers do not know."""
    return importlib.import_module("_abc")


def member(kind: Any, base: Any, arguments: tuple[Any, ...], name: str | None) -> Any:
    """A member of an enumeration, without its attributes; the one that is there, if it is."""
    found = vars(kind).get("_member_map_", {}).get(name)
    if found is not None:
        return found
    return base.__new__(kind, *arguments)


def set_member(made: Any, state: dict[str, Any]) -> None:
    """Attributes of a member, unless this process has made it."""
    if not CLASSES.is_own(type(made)):
        vars(made).update(state)


def set_attributes(value: Any, state: dict[str, Any]) -> None:
    """Attributes of something that has no more to it."""
    vars(value).update(state)


def cached_property(function: Callable[[Any], Any], name: str | None) -> Any:
    """A property that is computed once."""
    made = functools.cached_property(function)
    if name is not None:
        made.__set_name__(object, name)
    return made


def cached_function(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Any:
    """A function with a cache, which is empty."""
    return functools.lru_cache(maxsize, typed)(function)


def type_variable(name: str, constraints: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A type variable; by its name alone pickle would look for it in the other process."""
    make: Any = typing.TypeVar
    made = make(name, *constraints, **options)
    made.__module__ = MAIN
    return made


def other_variable(kind: Any, *arguments: Any) -> Any:
    """Another word of typing that the session made."""
    made = kind(*arguments)
    made.__module__ = MAIN
    return made


def dataclass_word(name: str) -> Any:
    """A value of `dataclasses` that is known by its identity."""
    return getattr(dataclasses, name)


def array(buffer: Any, dtype: Any, shape: tuple[int, ...], strides: Any, offset: int) -> Any:
    """An array on memory that came with it, laid out as it was."""
    numpy = sys.modules["numpy"]  # its dtype has just come
    return numpy.ndarray(shape, dtype, buffer, offset, strides)


def texts(
    joined: Any,
    separator: str,
    missing: tuple[list[int], list[Any]],
    layout: tuple[tuple[int, ...], str],
) -> Any:
    """An array of texts as objects, from one text.

    Args:
        joined: All of them in UTF-8.
        separator: What is between two of them.
        missing: Where there is no text, and what stands there instead.
        layout: Shape, and the order of memory, `C` or `F`.
    """
    import numpy  # whoever sends arrays has it

    parts: list[Any] = str(joined, "utf-8", "surrogatepass").split(separator)
    for place, value in zip(*missing, strict=True):
        parts[place] = value
    shape, order = layout
    flat = numpy.fromiter(parts, dtype=object, count=len(parts))
    return flat.reshape(shape, order="F" if order == "F" else "C")


def nothing() -> None:
    """In the place of a mark that only the sender needs."""


def apart(_begin: None, made: Callable[..., Any], arguments: tuple[Any, ...], _end: None) -> Any:
    """Something that shares no memory with anything else, whatever it shared before."""
    return made(*arguments)
