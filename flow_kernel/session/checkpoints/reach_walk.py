"""Looks through a value without running any of its code (pure).

Called by `reach` for the values that a cell can reach, on the cell path and so with a budget, and
by the child that has saved the variables, without one.

The types of a whole level are compared at once, in C; attributes are read only of types whose code
is known.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from types import BuiltinFunctionType, CellType, FunctionType, ModuleType
from typing import Any, Final
from weakref import getweakrefs

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.session.checkpoints.reach_types import (
    CACHES,
    Types,
    is_plain_kind,
    module_of,
    name_of,
)

globals()["__builtins__"] = FROZEN_BUILTINS

BUDGET: Final = 20_000
"""Objects looked at on the cell path for one value; more are unknown."""
_MAX_LEVELS: Final = 10_000
_LEVELS: Final = ("pandas.core.indexes.multi", "MultiIndex"), ("pandas", "MultiIndex")
_TIMES: Final = ("DatetimeIndex", "TimedeltaIndex", "DatetimeArray", "TimedeltaArray")
_MANAGER: Final = ("pandas.core.internals.managers", "BlockManager")


class Status(Enum):
    """What is known of a value."""

    TAME = "tame"
    """Of known types all the way down: whatever is done to it runs no code of the notebook."""
    PLAIN = "plain"
    """The same, with functions of the notebook among it: to drop it runs no code."""
    WILD = "wild"
    """Anything else."""
    NAME = "name"
    """A name for a module, class or function of somebody else: using it may run any code, and what
    is saved is the name. Only a save says so; for a cell it is WILD."""


@dataclass(slots=True)
class Walk:
    """What was found inside a value.

    Attributes:
        status: Of the value.
        functions: Functions of the notebook in it.
        seen: What may change in it, by id.
    """

    status: Status = Status.TAME
    functions: list[FunctionType] = field(default_factory=list)
    seen: dict[int, object] = field(default_factory=dict)


def walk(
    value: object, types: Types, namespace: dict[str, Any], *, budget: int | None = BUDGET
) -> Walk:
    """Look through a value.

    Args:
        value: Anything.
        types: What is known.
        namespace: Of the notebook; functions that live in it are its own.
        budget: The most objects to look at; None for all.

    Returns:
        What it is; WILD where the budget ended.
    """
    if id(type(value)) in types.scalar_ids:
        return Walk()
    walker = _Walker(types, namespace, budget)
    if not walker.looks_through(value):
        walker.found.status = Status.WILD
    return walker.found


class _Walker:
    """Goes down level by level."""

    def __init__(self, types: Types, namespace: dict[str, Any], budget: int | None) -> None:
        self._types = types
        self._namespace = namespace
        self._left = budget
        self.found = Walk()

    def looks_through(self, value: object) -> bool:
        """False when something is unknown, or too much."""
        level: list[object] = [value]
        levels = 0
        while level:
            levels += 1
            if levels > _MAX_LEVELS:
                return False
            if self._left is not None:
                self._left -= len(level)
                if self._left < 0:
                    return False
            known = self._types.scalar_ids
            if known.issuperset(map(id, map(type, level))):
                break
            seen = self.found.seen
            fresh = {
                id(one): one for one in level if id(type(one)) not in known and id(one) not in seen
            }
            seen.update(fresh)
            by_kind: dict[int, list[object]] = {}
            for one in fresh.values():
                by_kind.setdefault(id(type(one)), []).append(one)
            below = self._below(by_kind.values())
            if below is None:
                return False
            level = below
        return True

    def _below(self, by_kind: Iterable[list[Any]]) -> list[object] | None:
        """What is inside of these objects, all of them new."""
        types = self._types
        parts: list[Any] = []
        size = 0
        for same in by_kind:
            kind = type(same[0])
            if not is_plain_kind(kind):
                return None
            if kind in types.sequences:
                size += sum(map(len, same))
                parts += same
            elif kind in types.mappings:
                if any(one is self._namespace for one in same):
                    return None
                size += 2 * sum(map(len, same))
                parts += [list(dict.keys(one)) for one in same]
                parts += [list(dict.values(one)) for one in same]
            else:
                inside = self._inside(kind, same)
                if inside is None:
                    return None
                size += sum(map(len, inside))
                parts += inside
            if self._left is not None and size > self._left:
                return None
        return list(chain.from_iterable(parts))

    def _inside(self, kind: type, same: list[Any]) -> list[list[Any]] | None:
        if kind in self._types.arrays:
            return self._of_arrays(same)
        if any(map(_has_callback, same)):
            return None
        if kind in self._types.columns:
            plain = self._types.columns[kind]
            return [] if all(_is_text(one.type, plain) for one in same) else None
        inside: list[list[Any]] | None = None
        if (attributes := self._types.holders.get(kind)) is not None:
            inside = [_attributes(one, attributes) for one in same]
        elif kind is FunctionType:
            inside = self._of_functions(same)
        elif kind is CellType:
            inside = list(map(_content, same))
        elif kind is type and self._types.scalar_ids.issuperset(map(id, same)):
            inside = []  # `int` and its like, as a converter or a key
        return inside

    def _of_arrays(self, arrays: list[Any]) -> list[list[Any]] | None:
        inside: list[list[Any]] = []
        for array in arrays:
            if _has_callback(array) or not self._owns(array):
                return None
            if not _is_plain_dtype(array.dtype):
                return None
            if not array.dtype.hasobject:
                continue
            if array.dtype.kind != "O":
                return None
            if self._left is not None and array.size > self._left:
                return None
            inside.append(array.reshape(-1).tolist())
            if array.base is not None:  # what it is a part of can be had from it
                inside.append([array.base])
        return inside

    def _owns(self, array: Any) -> bool:
        """False when the memory is not that of an array, and may change from elsewhere."""
        base = array.base
        while is_plain_kind(type(base)) and type(base) in self._types.arrays:
            if _has_callback(base):
                return False
            base = base.base
        return base is None or type(base) is bytes

    def _of_functions(self, functions: list[FunctionType]) -> list[list[Any]] | None:
        inside: list[list[Any]] = []
        for function in functions:
            if function.__globals__ is not self._namespace:
                return None
            self.found.status = Status.PLAIN
            self.found.functions.append(function)
            inside.append(list(function.__defaults__ or ()))
            inside.append(list((function.__kwdefaults__ or {}).values()))
            inside.append(list(function.__closure__ or ()))
            inside.append(list(function.__dict__.values()))
        return inside


def can_settle(objects: Collection[Any]) -> bool:
    """True when frames have blocks that pandas puts together when they are looked at.

    The values stay what they are, and the memory that they lie in does not.

    Args:
        objects: What a walk has seen.
    """
    for one in objects:
        kind = type(one)
        if is_plain_kind(kind) and (module_of(kind), name_of(kind)) == _MANAGER:
            dtypes = [block.dtype for block in one.blocks if block._can_consolidate]
            if len(dtypes) != len(set(dtypes)):
                return True
    return False


def is_restless(objects: Collection[Any]) -> bool:
    """True when pandas changes something of labels as it likes.

    Those of several levels are laid out anew; times lose the step between them when they are
    aligned with others.

    Args:
        objects: What a walk has seen.
    """
    for one in objects:
        kind = type(one)
        if is_plain_kind(kind):
            name = (module_of(kind), name_of(kind))
            if name in _LEVELS or (name[1] in _TIMES and getattr(one, "_freq", None) is not None):
                return True
    return False


def is_loose(objects: Collection[Any]) -> bool:
    """True when a look at a value may change what it lies in.

    Args:
        objects: What a walk through it has seen.
    """
    return can_settle(objects) or is_restless(objects)


def _attributes(holder: object, names: tuple[str, ...]) -> list[object]:
    if names == ("*",):
        return [value for name, value in vars(holder).items() if name not in CACHES]
    return [getattr(holder, name, None) for name in names]


def _is_text(dtype: object, plain: type) -> bool:
    """True for text of Arrow, which nothing writes to: pandas replaces the whole column.

    Numbers may lie in the memory of an array that others write to.
    """
    return type(dtype) is plain and str(dtype) in ("string", "large_string")


def _is_plain_dtype(dtype: Any) -> bool:
    """False when anything at all may be tied to it."""
    if dtype.metadata is not None or dtype.subdtype is not None:
        return False
    fields = (dtype.fields or {}).values()
    return all(field[0].metadata is None and field[0].names is None for field in fields)


def _content(cell: CellType) -> list[object]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not bound yet
        return []


def _has_callback(value: object) -> bool:
    return any(one.__callback__ is not None for one in getweakrefs(value))


def is_named_elsewhere(value: object) -> bool:
    """True for modules, classes and library functions: a variable is only a name for them."""
    kind = type(value)
    is_callable = kind is BuiltinFunctionType or kind is FunctionType or issubclass(kind, type)
    return is_callable or kind is ModuleType
