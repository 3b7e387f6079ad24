"""The exact types whose code is known, by what they hold (pure).

Called by `reach_walk` and `reach_libraries`.

A type counts by identity, never by name: a class of the notebook may call itself `DataFrame`. What
a library has loaded is looked up when it is there; nothing is imported.
"""

import collections
import datetime
import fractions
import sys
import types
import zoneinfo
from abc import ABCMeta
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_SCALARS: Final = (
    int, float, complex, bool, type(None), str, bytes, range, slice, type(...),
    type(NotImplemented),
    datetime.date, datetime.timedelta, datetime.timezone, zoneinfo.ZoneInfo, fractions.Fraction,
)  # fmt: skip
_SEQUENCES: Final = (list, tuple, set, frozenset, collections.deque)
_MAPPINGS: Final = (dict, collections.OrderedDict, collections.Counter)
_TIMED: Final = (datetime.time, datetime.datetime)
_OF_PANDAS: Final[Mapping[str, tuple[str, ...]]] = {
    # Class: the attributes that hold other values.
    "pandas.core.frame.DataFrame": ("*",),
    "pandas.core.series.Series": ("*",),
    "pandas.core.indexes.base.Index": ("*",),
    "pandas.core.indexes.range.RangeIndex": ("*",),
    "pandas.core.indexes.category.CategoricalIndex": ("*",),
    "pandas.core.indexes.datetimes.DatetimeIndex": ("*",),
    "pandas.core.indexes.timedeltas.TimedeltaIndex": ("*",),
    "pandas.core.indexes.period.PeriodIndex": ("*",),
    "pandas.core.indexes.interval.IntervalIndex": ("*",),
    "pandas.core.indexes.multi.MultiIndex": ("*",),
    "pandas.core.internals.managers.BlockManager": ("blocks", "axes"),
    "pandas.core.internals.managers.SingleBlockManager": ("blocks", "axes"),
    "pandas.core.internals.blocks.NumpyBlock": ("values",),
    "pandas.core.internals.blocks.ExtensionBlock": ("values",),
    "pandas.core.internals.blocks.DatetimeLikeBlock": ("values",),
    "pandas.core.arrays.categorical.Categorical": ("_ndarray", "_dtype"),
    "pandas.core.arrays.datetimes.DatetimeArray": ("_ndarray", "_dtype", "_freq"),
    "pandas.core.arrays.timedeltas.TimedeltaArray": ("_ndarray", "_dtype", "_freq"),
    "pandas.core.arrays.period.PeriodArray": ("_ndarray",),
    "pandas.core.arrays.string_.StringArray": ("_ndarray",),
    "pandas.core.arrays.string_arrow.ArrowStringArray": ("_pa_array",),
    "pandas.core.arrays.numpy_.NumpyExtensionArray": ("_ndarray",),
    "pandas.core.arrays.integer.IntegerArray": ("_data", "_mask"),
    "pandas.core.arrays.floating.FloatingArray": ("_data", "_mask"),
    "pandas.core.arrays.boolean.BooleanArray": ("_data", "_mask"),
    "pandas.core.arrays.interval.IntervalArray": ("_left", "_right"),
    "pandas.core.dtypes.dtypes.CategoricalDtype": ("_categories", "_ordered"),
    "pandas._libs.tslibs.timestamps.Timestamp": ("tzinfo",),
    "pandas._libs.tslibs.timedeltas.Timedelta": (),
    "pandas._libs.tslibs.period.Period": (),
    "pandas._libs.tslibs.nattype.NaTType": (),
    "pandas._libs.missing.NAType": (),
    "pandas._libs.interval.Interval": (),
    "pandas._libs.internals.BlockValuesRefs": (),
    "pandas.core.flags.Flags": (),
    "pandas.core.arrays.string_.StringDtype": (),
    "pandas.core.dtypes.dtypes.DatetimeTZDtype": ("_tz",),
    "pandas.core.dtypes.dtypes.PeriodDtype": (),
    "pandas.core.dtypes.dtypes.IntervalDtype": (),
}
_OF_NUMPY_RANDOM: Final[Mapping[str, tuple[str, ...]]] = {
    "numpy.random._generator.Generator": ("bit_generator",),
    "numpy.random._pcg64.PCG64": ("seed_seq",),
    "numpy.random.bit_generator.SeedSequence": (),
}
CACHES: Final = frozenset(
    ["_cache", "_engine", "_references", "_id", "_item_cache", "_flags", "_metadata", "_cacher"]
)
"""Attributes of frames and indexes that hold nothing of the user."""


@dataclass(frozen=True, slots=True)
class Types:
    """Types by what to look at inside a value.

    The class of a user may define how it is hashed and compared, so a type is looked up by its id,
    or after `is_plain_kind`.

    Attributes:
        scalars: Nothing.
        sequences: What iterating gives.
        mappings: Keys and values.
        arrays: Exactly `numpy.ndarray`, or nothing.
        holders: These attributes; `*` means all of the instance's own.
        scalar_ids: The ids of the first.
        columns: Exactly `pyarrow.ChunkedArray`, by the class of its plain types; or nothing.
        texts: Arrays that take nothing but text.
        made_with: The modules that were loaded.
    """

    scalars: frozenset[type]
    sequences: frozenset[type] = frozenset(_SEQUENCES)
    mappings: frozenset[type] = frozenset(_MAPPINGS)
    arrays: frozenset[type] = frozenset()
    holders: Mapping[type, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[type, type] = field(default_factory=dict)
    texts: frozenset[type] = frozenset()
    scalar_ids: frozenset[int] = frozenset()
    made_with: tuple[ModuleType | None, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scalar_ids", frozenset(map(id, self.scalars)))

    def with_closed_texts(self) -> "Types":
        """The same, with text for granted in arrays of text."""
        return replace(self, scalars=self.scalars | self.texts)


def is_plain_kind(kind: type) -> bool:
    """True for a type that is compared as Python does."""
    meta = type(kind)
    return meta is type or meta is ABCMeta


def module_of(kind: type) -> str:
    """The module that a class says it is of, without asking its metaclass."""
    name: object = type.__dict__["__module__"].__get__(kind)
    return name if type(name) is str else ""


def name_of(kind: type) -> str:
    """The name of a class, without asking its metaclass."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return name


def loaded() -> tuple[ModuleType | None, ...]:
    """The libraries that `known_types` depends on."""
    names = ("numpy", "pandas", "numpy.random", "pandas.core.api", "pyarrow.lib")
    return tuple(map(sys.modules.get, names))


def known_types() -> Types:
    """The types of what is loaded now."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return Types(frozenset(_SCALARS), holders=_timed(), made_with=loaded())
    scalars: set[type] = set(_SCALARS)
    todo: list[type] = [numpy.generic]
    while todo:
        kind = todo.pop()
        todo += filter(_is_of_c, type.__subclasses__(kind))
        scalars.add(kind)
    scalars -= {numpy.void, numpy.object_}
    scalars.update(type(numpy.dtype(code)) for code in "?bBhHiIlLqQefdgFDGSUmM")
    holders = _timed()
    holders.update(_found(_OF_NUMPY_RANDOM))
    frozen_list = text = None
    if sys.modules.get("pandas") is not None:
        holders.update(_found(_OF_PANDAS))
        scalars.update(_offsets())
        frozen_list = _class("pandas.core.indexes.frozen.FrozenList")
        text = _class("pandas.core.arrays.string_.StringArray")
    scalars.update(kind for kind, inside in holders.items() if not inside)
    return Types(
        frozenset(scalars),
        sequences=frozenset([*_SEQUENCES, *([frozen_list] if frozen_list is not None else [])]),
        arrays=frozenset([numpy.ndarray]),
        holders={kind: inside for kind, inside in holders.items() if inside},
        columns=_columns(),
        texts=frozenset([text] if text is not None else []),
        made_with=loaded(),
    )


def _columns() -> dict[type, type]:
    column, plain = map(_class, ("pyarrow.lib.ChunkedArray", "pyarrow.lib.DataType"))
    return {column: plain} if column is not None and plain is not None else {}


def _timed() -> dict[type, tuple[str, ...]]:
    return dict.fromkeys(_TIMED, ("tzinfo",))


def _offsets() -> list[type]:
    """Steps of time; those with a calendar of their own are left out."""
    module = sys.modules.get("pandas._libs.tslibs.offsets")
    return [
        kind
        for name, kind in (vars(module) if module is not None else {}).items()
        if isinstance(kind, type)
        and kind.__module__ == "pandas._libs.tslibs.offsets"
        and not name.startswith("Custom")
    ]


def _is_of_c(kind: type[Any]) -> bool:
    """False for what a `class` statement made."""
    return not kind.__flags__ & 0x200


def _found(paths: Mapping[str, tuple[str, ...]]) -> dict[type, tuple[str, ...]]:
    kinds = ((_class(path), inside) for path, inside in paths.items())
    return {kind: inside for kind, inside in kinds if kind is not None}


def _class(path: str) -> type | None:
    module_name, _, name = path.rpartition(".")
    module = sys.modules.get(module_name)
    if type(module) is not types.ModuleType:
        return None
    found = vars(module).get(name)
    return found if isinstance(found, type) else None
