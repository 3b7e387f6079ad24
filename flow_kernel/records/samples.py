"""A cheap sample of one mutable value, equal as long as nobody changed the value (pure).

Called by `session` before and after a cell, for the names that the cell loads and does not store.

A sample holds integers and strings: sizes, identities of a few elements, hashes of a few numbers,
checksums of a few bytes. Two unequal samples mean that the value was changed in place; two equal
ones mean nothing certain. No reference to a value or to an element outlives the call.
"""

import sys
import time
import types
import zlib
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from flow_kernel.records.deadline import Deadline
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.introspection import (
    class_dict,
    has_plain_names,
    instance_dict,
    is_class,
    is_static,
    library_of,
    mro_of,
)
from flow_kernel.records.libraries import TypeTable
from flow_kernel.records.samples_libraries import EXACT, INHERITED, Sample, Take
from flow_kernel.records.summaries_builtins import sparse_above

globals()["__builtins__"] = FROZEN_BUILTINS

_perf_ns: Final = time.perf_counter_ns
_crc32: Final = zlib.crc32
_Member: Final = types.MemberDescriptorType
_ALL: Final = 32
"""Up to so many elements, the identities of all of them are taken."""
_SOME: Final = 8
_DEEP: Final = 16
"""Of so many elements, what can be told without their class's code is taken too."""
_SMALL_BYTES: Final = 4096
_LARGE: Final = 1 << 512
_MAX_TEXT: Final = 1024


_READ_FILLS_CACHES: Final = frozenset({*sys.stdlib_module_names, "pandas", "numpy", "polars"})
"""Libraries whose other classes are immutable, or write to their instances when they are read."""


def sample(value: object) -> Sample | None:
    """What tells whether `value` is changed in place; about 1 us, up to 5 us for a table.

    Args:
        value: Anything; only objects of exactly known types and the attributes of instances of
            other classes are looked at, and never through a class's own code.

    Returns:
        Integers and strings to compare with a later sample of the same object, or None for a value
        that cannot change or cannot be sampled.
    """
    kind = type(value)
    try:
        take = _EXACT.known.get(id(kind)) or _EXACT.learn(kind)
        if take is not None:
            return take(value)
        if is_class(kind):
            return _of_class(value)  # type: ignore[arg-type]  # a class
        return None if is_static(kind) else _of_instance(value)
    except Exception:  # noqa: BLE001  # changed by another thread meanwhile, or no stack left
        return None


def sample_many(
    items: Iterable[tuple[str, object]], *, budget_us: int
) -> dict[str, tuple[int, Sample]]:
    """The identity and sample of each value that has one, until the time is used up.

    Args:
        items: Names and values; a name that is not exactly a string is left out.
        budget_us: Microseconds of work after which no further value is sampled.

    Returns:
        For each name the id of its value and the sample.
    """
    found: dict[str, tuple[int, Sample]] = {}
    deadline = Deadline(budget_us)
    for name, value in items:
        if _perf_ns() >= deadline.at_ns and deadline.is_over():
            break
        if type(name) is str:
            taken = sample(value)
            if taken is not None:
                found[name] = (id(value), taken)
    return found


def _never(value: object) -> None:
    """No sample: the value cannot change."""


def _list(value: list[object]) -> Sample:
    length = len(value)
    if length <= _ALL:
        return (length, *map(id, value), *_facts(value[:_DEEP]))
    spread = value[:: length // _SOME + 1]
    spread.append(value[-1])
    return (length, *map(id, spread), *_facts(spread))


def _dict(value: dict[Any, object]) -> Sample:
    # The views of `dict` itself: those of OrderedDict look keys up, which may run their code.
    length = dict.__len__(value)
    values = dict.values(value)
    if length <= _ALL:
        if dict.__sizeof__(value) > sparse_above(length):
            return (length,)
        return (
            length,
            *map(id, dict.keys(value)),
            *map(id, values),
            *_facts(islice(values, _DEEP)),
        )
    ends = [*islice(reversed(values), _SOME)]
    if dict.__sizeof__(value) <= sparse_above(length):
        ends += islice(values, _SOME)
    return (length, *map(id, ends), *_facts(ends))


def _set(value: set[object]) -> Sample:
    length = len(value)
    if set.__sizeof__(value) > sparse_above(length):
        return (length,)
    return (length, *map(id, value if length <= _ALL else islice(value, _SOME)))


def _deque(value: "deque[object]") -> Sample:
    length = len(value)
    if length <= _ALL:
        return (length, *map(id, value), *_facts(islice(value, _DEEP)))
    ends = [value[i] for i in range(-_SOME, _SOME)]
    return (length, *map(id, ends), *_facts(ends))


def _bytearray(value: bytearray) -> Sample:
    # Slices are copies: a buffer taken from the value would forbid another thread to resize it.
    length = len(value)
    if length <= _SMALL_BYTES:
        return (length, _crc32(value[:]))
    return (length, _crc32(value[:64] + value[-64:] + value[:: length // 64]))


def _array(value: "array[Any]") -> Sample:
    length = len(value)
    if length * value.itemsize > _SMALL_BYTES:
        value = value[:64] + value[-64:] + value[:: length // 64]
    return (length, _crc32(value.tobytes()))


def _facts(values: Iterable[object]) -> list[int]:
    """Hashes of exact numbers and short texts, sizes of exact containers, zero for the rest.

    An identity alone is not enough: a number that replaces another one often gets its address.
    """
    found = []
    for value in values:
        kind = type(value)
        if kind is float or (kind is int and -_LARGE < value < _LARGE):  # type: ignore[operator]  # an int
            found.append(hash(value))
        elif kind is str:
            found.append(hash(value) if len(value) <= _MAX_TEXT else len(value))  # type: ignore[arg-type]  # a str
        elif kind is list or kind is dict or kind is set:
            found.append(len(value))  # type: ignore[arg-type]  # a container
        else:
            found.append(0)
    return found


def _of_class(kind: type) -> Sample | None:
    if is_static(kind):
        return None
    names = class_dict(kind)
    return (len(names), *map(id, islice(names.values(), 2 * _ALL)))


def _of_instance(value: object) -> Sample | None:
    kind = type(value)
    _INHERITED.learn(kind)
    base = _of_bases(value, mro_of(kind))
    if library_of(kind) in _READ_FILLS_CACHES:
        return base
    attributes = instance_dict(value)
    if attributes is None:
        slots = _of_slots(value, kind)
        return (*base, *slots) if base is not None else slots or None
    held = _dict(attributes)
    return held if base is None else (*base, *held)


def _of_bases(value: object, bases: tuple[type, ...]) -> Sample | None:
    """What the part of an instance that a builtin or library class made tells."""
    for base in bases:
        take = _INHERITED.known.get(id(base))
        if take is not None:
            return take(value)
    return None


def _of_slots(value: object, kind: type) -> Sample:
    found: list[int] = []
    for base in mro_of(kind):
        names = class_dict(base)
        if is_static(base) or not has_plain_names(names) or "__slots__" not in names:
            continue
        for member in islice(names.values(), 2 * _ALL):
            if type(member) is _Member:
                try:
                    held = member.__get__(value)
                except AttributeError:  # the slot is empty
                    continue
                found.append(id(held))
                found += _facts((held,))
    return tuple(found)


# Found at once, these cost 0.2 us instead of 0.5; what is missing here has no sample either.
_UNCHANGING: Final = (
    type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range,
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType,
)  # fmt: skip
_EXACT: Final[TypeTable[Take]] = TypeTable(
    {
        **{id(kind): _never for kind in _UNCHANGING},
        id(list): _list,
        id(dict): _dict,
        id(OrderedDict): _dict,
        id(defaultdict): _dict,
        id(Counter): _dict,
        id(set): _set,
        id(deque): _deque,
        id(bytearray): _bytearray,
        id(array): _array,
        id(types.SimpleNamespace): lambda value: _dict(value.__dict__),
    },
    EXACT,
)
_INHERITED: Final[TypeTable[Take]] = TypeTable(
    {
        # Only what these say of themselves: a subclass may override everything else.
        id(list): lambda value: (list.__len__(value),),
        id(dict): lambda value: (dict.__len__(value),),
        id(set): lambda value: (set.__len__(value),),
        id(deque): lambda value: (deque.__len__(value),),
        id(bytearray): lambda value: (bytearray.__len__(value),),
    },
    INHERITED,
)
