"""Shape, blocks and labels of pandas objects, read past pandas's Python code (pure).

Called by `summaries_libraries` and `samples_libraries`, inside a user's cell.

    frame.__dict__["_mgr"] -> manager: axes [Index, …], blocks (Block, …) -> values: array

Asking `frame.shape` or `frame.dtypes` runs Python code of pandas, fills its caches and may warn.
The managers hold the same facts in C attributes, the same ones in pandas 2 and 3. What does not
look as expected is unfamiliar, never guessed.
"""

from collections.abc import Sequence
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.introspection import is_static
from flow_kernel.records.libraries import (
    UnfamiliarError,
    class_in,
    dtype_text,
    getter,
    ndarray_type,
)

globals()["__builtins__"] = FROZEN_BUILTINS

_MANAGERS: Final = "pandas.core.internals.managers"
_INTERNALS: Final = "pandas._libs.internals"
_MAX_BLOCKS: Final = 32
_INDEXES: Final = {
    "Index": "base", "RangeIndex": "range", "MultiIndex": "multi", "DatetimeIndex": "datetimes",
    "TimedeltaIndex": "timedeltas", "PeriodIndex": "period", "CategoricalIndex": "category",
    "IntervalIndex": "interval",
}  # fmt: skip
_ARRAYS: Final = {
    "Categorical": "categorical", "DatetimeArray": "datetimes", "TimedeltaArray": "timedeltas",
    "PeriodArray": "period", "IntervalArray": "interval", "IntegerArray": "integer",
    "FloatingArray": "floating", "BooleanArray": "boolean", "StringArray": "string_",
    "ArrowStringArray": "string_arrow", "ArrowExtensionArray": "arrow.array",
    "SparseArray": "sparse.array",
}  # fmt: skip
_ARRAY_DTYPES: Final = {
    "Categorical": "category", "PeriodArray": "period", "IntervalArray": "interval",
    "BooleanArray": "boolean", "StringArray": "str", "ArrowStringArray": "str",
    "ArrowExtensionArray": "arrow", "SparseArray": "sparse",
}  # fmt: skip


class PandasReader:
    """The descriptors of the pandas that is loaded.

    Raises:
        UnfamiliarError: pandas is not loaded, or its internals are not those of pandas 2 or 3.
    """

    def __init__(self) -> None:
        self.frame: Final = class_in("pandas.core.frame", "DataFrame")
        self.series: Final = class_in("pandas.core.series", "Series")
        self.ndarray: Final = ndarray_type()
        self.indexes: Final = _present("pandas.core.indexes", _INDEXES)
        self._indexes: Final = {id(kind) for kind in self.indexes.values()}
        self._array_types: Final = _present("pandas.core.arrays", _ARRAYS)
        self._arrays: Final = {id(kind): name for name, kind in self._array_types.items()}
        self._manager: Final = class_in(_MANAGERS, "BlockManager")
        self._single: Final = class_in(_MANAGERS, "SingleBlockManager")
        self._dict: Final = getter(class_in("pandas.core.accessor", "DirNamesMixin"), "__dict__")
        self._array_dict: Final = getter(class_in("pandas.core.arraylike", "OpsMixin"), "__dict__")
        self._axes: Final = getter(class_in(_INTERNALS, "BlockManager"), "axes")
        self._blocks: Final = getter(class_in(_INTERNALS, "BlockManager"), "blocks")
        block = class_in(_INTERNALS, "Block")
        self._values: Final = getter(block, "values")
        self._places: Final = getter(block, "_mgr_locs")
        self._place_type: Final[Any] = class_in(_INTERNALS, "BlockPlacement")
        backed = class_in("pandas._libs.arrays", "NDArrayBacked")
        self._backing: Final = getter(backed, "_ndarray")
        self._backed_dtype: Final = getter(backed, "_dtype")
        self._chunked: Final = _static("pyarrow.lib", "ChunkedArray")

    def parts(self, value: object) -> tuple[list[object], Sequence[object]]:
        """The axes (columns first, then rows; of a series only rows) and the blocks.

        Raises:
            UnfamiliarError: The value has no manager of a known class.
        """
        manager = self._dict(value).get("_mgr")
        if type(manager) is self._manager:
            axes, blocks = self._axes(manager), self._blocks(manager)
        elif type(manager) is self._single:
            held = self._dict(manager)
            axes, blocks = held.get("axes"), held.get("blocks")
        else:
            raise UnfamiliarError("manager")
        if type(axes) is not list or type(blocks) is not tuple:
            raise UnfamiliarError("axes")
        return axes, blocks

    def values(self, block: object) -> object:
        """The array of a block: an ndarray, or an extension array of pandas or of a user."""
        return self._values(block)

    def columns_in(self, block: object) -> int:
        """How many columns a block holds."""
        places: Any = self._places(block)
        if type(places) is not self._place_type:
            raise UnfamiliarError("places")
        return len(places)

    def attribute(self, value: object, name: str) -> object:
        """What the dictionary of a frame, series or index holds under `name`, or None."""
        return self._dict(value).get(name)

    def length(self, index: object) -> int:
        """The number of labels of an index.

        Raises:
            UnfamiliarError: Its class, or the array in it, is not known.
        """
        if id(type(index)) not in self._indexes:
            raise UnfamiliarError("index")
        held = self._dict(index)
        span = held.get("_range")
        if type(span) is range:
            return len(span)
        codes = held.get("_codes")
        data = list.__getitem__(codes, 0) if codes is not None else held.get("_data")
        chunks = self._chunks(data)
        found: Any = self.elements(data) if chunks is None else chunks
        return len(found)

    def elements(self, array: object) -> Any:
        """The ndarray that holds the elements of an array of pandas (codes, for a categorical).

        Raises:
            UnfamiliarError: The array is not pandas's own, or numpy does not hold its elements.
        """
        kind = type(array)
        if kind is self.ndarray:
            return array
        if id(kind) not in self._arrays:
            raise UnfamiliarError("array")
        try:
            found = self._backing(array)
        except TypeError:
            found = self._array_dict(array).get("_data")
        if type(found) is not self.ndarray:
            raise UnfamiliarError("elements")
        return found

    def identities(self, array: object) -> tuple[int, ...]:
        """The ids of the parts of an extension array of pandas, which an assignment replaces."""
        if type(array) is self.ndarray or id(type(array)) not in self._arrays:
            return ()
        try:
            return (id(self._backing(array)), id(self._backed_dtype(array)))
        except TypeError:
            held = self._array_dict(array)
            return tuple([id(held.get(name)) for name in ("_data", "_mask", "_pa_array")])

    def labels(self, index: object, count: int) -> list[object] | None:
        """The first labels of an index as they are, or None where they are not plain objects."""
        held = self._dict(index)
        span = held.get("_range")
        if type(span) is range:
            return list(span[:count])
        data = held.get("_data")
        if id(type(index)) not in self._indexes or data is None:
            return None
        chunks = self._chunks(data)
        if chunks is not None:
            return chunks.slice(0, count).to_pylist()  # type: ignore[no-any-return]  # of pyarrow
        elements = self.elements(data)
        if elements.dtype.kind not in "Oiufb" or self.dtype(data) == "category":
            return None
        found: list[object] = elements[:count].tolist()
        return found

    def dtype(self, array: object) -> str:
        """The dtype of an array of pandas in one or two words; the class's name for a user's."""
        if type(array) is self.ndarray:
            return dtype_text(array.dtype)  # type: ignore[attr-defined]  # an ndarray
        name = self._arrays.get(id(type(array)))
        if name is None:
            return "extension"
        if name in _ARRAY_DTYPES:
            return _ARRAY_DTYPES[name]
        text = dtype_text(self.elements(array).dtype)
        if name == "DatetimeArray" and not self._is_naive(array):
            return f"{text[:-1]}, tz]"
        return text.capitalize() if name in ("IntegerArray", "FloatingArray") else text

    def condensed(self, blocks: Sequence[object]) -> tuple[str, int | None]:
        """The dtypes with their numbers of columns, and the bytes where numpy holds all of them."""
        counts: dict[str, int] = {}
        nbytes: int | None = 0
        for block in blocks[:_MAX_BLOCKS]:
            array = self.values(block)
            text = self.dtype(array)
            counts[text] = counts.get(text, 0) + self.columns_in(block)
            is_plain = type(array) is self.ndarray and text != "object"
            nbytes = nbytes + array.nbytes if is_plain and nbytes is not None else None  # type: ignore[attr-defined]  # an ndarray
        texts = [f"{count} {text}" for text, count in counts.items()]
        if len(blocks) > _MAX_BLOCKS:
            return ", ".join([*texts, "…"]), None
        return ", ".join(texts), nbytes

    def _chunks(self, array: object) -> Any | None:
        """The pyarrow array in an array of pandas, or None where there is none."""
        if id(type(array)) not in self._arrays or type(array) is self.ndarray:
            return None
        try:
            found = self._array_dict(array).get("_pa_array")
        except TypeError:
            return None
        return found if type(found) is self._chunked else None

    def _is_naive(self, array: object) -> bool:
        return type(self._backed_dtype(array)) is type(self.elements(array).dtype)


def _present(package: str, modules: dict[str, str]) -> dict[str, type]:
    """The classes that this version has, by name."""
    found = {}
    for name, module in modules.items():
        try:
            found[name] = class_in(f"{package}.{module}", name)
        except UnfamiliarError:
            continue
    return found


def _static(module: str, name: str) -> type | None:
    """A class of a library that only C code can have made, or None where it is not loaded."""
    try:
        kind = class_in(module, name)
    except UnfamiliarError:
        return None
    return kind if is_static(kind) else None
