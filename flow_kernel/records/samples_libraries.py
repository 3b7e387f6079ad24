"""Samples of arrays, tables and tensors of other libraries (pure).

Called by `samples` once a library is loaded.

Elements are copied out a few at a time and never exported as a buffer, so that `ndarray.resize`
still works; arrays on mapped files are told by their shape only; nothing that a library computes
late is asked for.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.libraries import (
    UnfamiliarError,
    class_in,
    getter,
    loaded,
    ndarray_type,
    owns_memory,
)
from flow_kernel.records.pandas_reader import PandasReader

globals()["__builtins__"] = FROZEN_BUILTINS

Sample = tuple[object, ...]
Take = Callable[[Any], Sample | None]
_crc32: Final = zlib.crc32
_SMALL_BYTES: Final = 4096
_EDGE: Final = 64
_STRIDES: Final = 64
_OBJECTS: Final = 16
_BLOCKS: Final = 16
_MAX_COLUMNS: Final = 64


def _numpy() -> dict[type, Take]:
    ndarray = ndarray_type()

    def take(value: Any) -> Sample:
        return _array(value, ndarray)

    return {ndarray: take}


def _array(value: Any, ndarray: type) -> Sample:
    """Shape, dtype and what some of the elements are; up to 4096 bytes all of them."""
    dtype = value.dtype
    about = (*value.shape, id(dtype), value.flags.writeable)
    if dtype.hasobject:
        return about if dtype.names is not None else (*about, *_objects(value))
    if not owns_memory(value, ndarray):
        return about
    if value.nbytes <= _SMALL_BYTES:
        return (*about, _crc32(value.tobytes()))
    return (*about, _strided_crc(value))


def _objects(value: Any) -> list[int]:
    """Identities of some elements of an object array."""
    size = value.size
    step = size // _OBJECTS + 1
    return [id(value.item(i)) for i in range(0, size, step)]


def _strided_crc(value: Any) -> int:
    """Checksum of the edges and of 64 places between; views only, no copy of the whole."""
    if value.flags.c_contiguous:
        flat = value.reshape(-1)
    elif value.flags.f_contiguous:
        flat = value.T.reshape(-1)
    else:
        per_axis = max(2, int(_STRIDES ** (1 / value.ndim)))
        return _crc32(
            value[tuple([slice(None, None, n // per_axis + 1) for n in value.shape])].tobytes()
        )
    crc = _crc32(flat[:: flat.size // _STRIDES + 1].tobytes())
    return _crc32(flat[-_EDGE:].tobytes(), _crc32(flat[:_EDGE].tobytes(), crc))


def _numpy_subclasses() -> dict[type, Take]:
    """A subclass may run code when a view of it is made; it is asked nothing but C facts."""
    ndarray = ndarray_type()
    shape, dtype, nbytes = (getter(ndarray, name) for name in ("shape", "dtype", "nbytes"))
    base, to_bytes = getter(ndarray, "base"), getter(ndarray, "tobytes")

    def take(value: object) -> Sample:
        kind = dtype(value)
        about = (*shape(value), id(kind))
        if kind.hasobject or nbytes(value) > _SMALL_BYTES or base(value) is not None:
            return about
        return (*about, _crc32(to_bytes(value)()))

    return {ndarray: take}


def _pandas_tables() -> dict[type, Take]:
    reader = PandasReader()

    def take(value: object) -> Sample:
        axes, blocks = reader.parts(value)
        found: list[object] = [len(blocks), *map(id, axes)]
        step = len(blocks) // _BLOCKS + 1
        for block in blocks[::step] if step > 1 else blocks:
            array = reader.values(block)
            found.append(id(array))
            if type(array) is reader.ndarray:
                found += _array(array, reader.ndarray)
            else:
                found += reader.identities(array)
                found += _backing(array)
        return tuple(found)

    def _backing(array: object) -> Sample:
        try:
            return _array(reader.elements(array), reader.ndarray)
        except UnfamiliarError:
            return ()

    return {reader.frame: take, reader.series: take}


def _pandas() -> dict[type, Take]:
    reader = PandasReader()
    # An index never changes, while the caches in its dictionary fill when it is read.
    return {**_pandas_tables(), **dict.fromkeys(reader.indexes.values(), _never)}


def _never(value: object) -> None:
    """No sample: the value cannot change."""


def _torch() -> dict[type, Take]:
    base = class_in("torch._C", "TensorBase")
    version, shape, pointer = (getter(base, n) for n in ("_version", "shape", "data_ptr"))
    modes: Any = loaded("torch._C")["_len_torch_function_stack"]

    def take(value: object) -> Sample | None:
        if modes():  # an active mode of torch would answer instead, with code of its own
            return None
        try:
            address = pointer(value)()
        except RuntimeError:  # sparse tensors have no one address
            address = 0
        return (version(value), address, *shape(value))

    return {class_in("torch", "Tensor"): take}


def _polars() -> dict[type, Take]:
    frame = class_in("polars.dataframe.frame", "DataFrame")
    attributes = getter(frame, "__dict__")
    inner_type: Any = loaded("polars._plr")["PyDataFrame"]
    shape, names = getter(inner_type, "shape"), getter(inner_type, "columns")

    def take(value: object) -> Sample | None:
        inner = attributes(value).get("_df")
        if type(inner) is not inner_type:
            return None
        rows, columns = shape(inner)()
        labels = names(inner)() if columns <= _MAX_COLUMNS else ()
        return (id(inner), rows, columns, *labels)

    return {frame: take}


EXACT: Final[dict[str, Callable[[], dict[type, Take]]]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "torch": _torch,
    "polars": _polars,
}
"""What makes the functions for values of exactly a library's classes."""

INHERITED: Final[dict[str, Callable[[], dict[type, Take]]]] = {
    "numpy": _numpy_subclasses,
    "pandas": _pandas_tables,
}
"""What makes the functions for the part of an instance that a library's class made."""
