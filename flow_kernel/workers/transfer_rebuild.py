"""Puts values together again; named in what is sent, so both sides have these names.

Called by the unpickler of `transfer`.
"""

import importlib
import marshal
import sys
import types
import typing
from collections.abc import Callable
from importlib.util import MAGIC_NUMBER
from typing import Any, Final

from flow_kernel.records import class_parts
from flow_kernel.workers.transfer_known import CLASSES

SEPARATORS: Final = ("\0", "\x1e")


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
    made = class_parts.make(metaclass, name, bases, fixed)
    CLASSES.came(class_id, made)
    return made


def class_at(address: int, name: str) -> Any:
    """A class that this process has, of which the sender is a copy.

    Raises:
        LookupError: It is gone.
    """
    found = CLASSES.at(address, name)
    if found is None:
        raise LookupError(f"the class {name} is gone")
    return found


def set_class(made: Any, state: tuple[dict[str, Any], list[type]]) -> None:
    """Its attributes, in their order, past what its metaclass does when they are set.

    What this process has made is what it says, whatever another one did to its copy.
    """
    if not CLASSES.is_own(made):
        class_parts.fill(made, *state)


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


def type_variable(name: str, constraints: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """A type variable of the session."""
    return class_parts.of_main(typing.TypeVar, name, *constraints, **options)


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
