"""How numpy's arrays are taken apart: with their layout, their flags, and the memory they share.

Called by the pickler of `saving`; what puts them together again is in `array_rebuild`.

An array that owns its memory goes out of band as one block. A view is kept as a place in its owner,
be that an array, a bytearray or an `array.array`; the owner comes along even when no variable has
it. Text in object arrays goes out of band as one block of UTF-8: pickle would write string by
string, and equal columns as different bytes, for which strings are the same object is chance.
"""

import array as array_module
import pickle
import sys
from functools import cache
from typing import Any, Final

from flow_kernel.session.checkpoints import array_rebuild as rebuild
from flow_kernel.session.checkpoints.ownership import address_of
from flow_kernel.session.checkpoints.refusals import Unsaveable
from flow_kernel.session.checkpoints.sizes import loaded_class

Reduced = tuple[Any, ...]

_TEXT_FROM: Final = 64
"""Fewer strings are left to pickle."""
_BUFFERS: Final = (bytes, bytearray, array_module.array)


def array(value: Any) -> Reduced | None:
    """A numpy array: a view as a view of its owner; an owner with its layout and its flags.

    Returns:
        None where numpy's own way is right.

    Raises:
        Unsaveable: It shares memory with a file, or is read-only in a way that would be lost.
    """
    import numpy as np  # only where an array has come, so it is loaded

    if type(value) is not np.ndarray:
        return _of_subclass(value, np)
    owner = _owner(value, np.ndarray)
    if owner is not value:
        return _view(value, owner, np) if _keeps_layout(type(owner), np) else _detached(value, np)
    if (buffer := _buffer_of(value)) is not None:
        if not isinstance(buffer, _BUFFERS):
            return rebuild.of_tensor, (buffer, *_place(value, buffer.data_ptr()), _is_open(value))
        return rebuild.of_buffer, (buffer, *_place(value, _start(buffer, np)), _is_open(value))
    if value.dtype == object:
        # Filled after it is made: what it holds may be views of it.
        empty = (value.shape, "F" if value.flags.f_contiguous else "C")
        content = (_text(value) or list(value.flat), _is_open(value))
        return rebuild.object_array, empty, content, None, None, rebuild.fill_object_array
    return _detached(value, np)


def scalar(value: Any) -> Reduced | None:
    """A row of a structured array is a view of that array; None for one by itself."""
    import numpy as np  # only where a row has come, so it is loaded

    owner = value.base
    if not isinstance(owner, np.ndarray):
        return None
    offset = address_of(value) - address_of(owner)
    return rebuild.row, (owner, offset, value.dtype)


def dtype(value: Any) -> Reduced | None:
    """A type of numpy that there is once; numpy itself would make another that is equal."""
    import numpy as np  # only where a type of numpy has come, so it is loaded

    if value.isbuiltin != 1:
        return None
    # `long long` and `long` are two types, and equal, where both have 64 bits.
    names = (name for name in (value.str, value.char) if np.dtype(name) is value)
    name = next(names, None)
    return None if name is None else (np.dtype, (name,))


def numpy_state(value: Any) -> Reduced | None:
    """The generator behind `numpy.random.rand` and its like is the one of the session."""
    mtrand = sys.modules["numpy.random.mtrand"]
    return (rebuild.global_random, ()) if value is vars(mtrand).get("_rand") else None


def _detached(value: Any, np: Any) -> Reduced | None:
    """An array as if it owned its memory."""
    is_one_block = value.flags.c_contiguous or value.flags.f_contiguous
    if is_one_block and not value.dtype.hasobject:
        return _whole(value, np)
    if not _is_open(value):
        raise Unsaveable("a read-only array of objects in fields")
    return None


def _of_subclass(value: Any, np: Any) -> Reduced | None:
    """An array of another class: its memory, its class, its attributes; no code of it runs."""
    kind, owner = type(value), _owner(value, np.ndarray)
    if value.dtype.hasobject or not _keeps_layout(kind, np):
        return None  # knows how
    state = dict(vars(value)) if hasattr(value, "__dict__") else {}
    if owner is not value:
        place = (owner, *_place(value, address_of(owner)), _is_open(value))
        return rebuild.of_class, (kind, *place), state, None, None, rebuild.set_attributes
    if not (value.flags.c_contiguous or value.flags.f_contiguous):
        return None
    _, whole = _whole(value.view(np.ndarray), np)
    return rebuild.owner_of_class, (kind, *whole), state, None, None, rebuild.set_attributes


def _keeps_layout(kind: Any, np: Any) -> bool:
    ours = (np.ma.MaskedArray, np.matrix, np.recarray)
    return kind.__reduce__ is np.ndarray.__reduce__ or kind in ours


def _view(value: Any, owner: Any, np: Any) -> Reduced | None:
    if owner.dtype.hasobject and {owner.dtype, value.dtype} != {np.dtype(object)}:
        raise Unsaveable("a view of an array with objects in its fields")
    return rebuild.view, (owner, *_place(value, address_of(owner)), _is_open(value))


def _place(value: Any, start: int) -> Reduced:
    return address_of(value) - start, value.shape, value.strides, value.dtype


def _whole(value: Any, np: Any) -> Reduced:
    order = "C" if value.flags.c_contiguous else "F"
    mark = _mark()
    flat = value.reshape(-1, order=order).view(mark) if value.size else np.empty(0, mark)
    out_of_band = pickle.PickleBuffer(flat)
    return rebuild.owner, (out_of_band, value.dtype, value.shape, order, _is_open(value))


@cache
def _mark() -> Any:
    """The type of what goes out of band; it is known again by being the same object.

    No other will do: arrays of a user may be of each type that can be spelled.
    """
    import numpy as np  # only where an array has come, so it is loaded

    return np.dtype("V1", metadata={__name__: "out of band"})


def is_filled_in(buffer: Any) -> bool:
    """True for what `array_rebuild.owner` reads into the memory of its array by itself.

    Args:
        buffer: Raw, as the pickler gave it.
    """
    if buffer.readonly:
        return False  # pickle makes a view of it before anybody takes it
    source = buffer.obj
    return type(source) is loaded_class("numpy", "ndarray") and source.dtype is _mark()


def _text(value: Any) -> rebuild.Text | None:
    """The strings of an array as one block; None unless it is nothing but strings and gaps."""
    items = value.ravel(order="C").tolist()
    if len(items) < _TEXT_FROM or not {*map(type, items)} <= {str, type(None), float}:
        return None
    gaps = [n for n, one in enumerate(items) if type(one) is not str]
    nan = sys.modules["numpy"].nan
    if any(items[n] is not None and items[n] is not nan for n in gaps):
        return None
    nones = [n for n in gaps if items[n] is None]
    nans = [n for n in gaps if items[n] is nan]
    for n in gaps:
        items[n] = ""
    whole = rebuild.BETWEEN.join(items)
    lengths = b""
    if whole.count(rebuild.BETWEEN) != len(items) - 1:
        np = sys.modules["numpy"]
        whole, lengths = "".join(items), np.fromiter(map(len, items), np.int64, len(items))
    data = whole.encode("utf-8", "surrogatepass")
    parts = (pickle.PickleBuffer(data), pickle.PickleBuffer(lengths))
    return rebuild.Text(*parts, nans, nones)


def _owner(value: Any, kind: type) -> Any:
    """The array at the end of the chain of views, past the helpers of `as_strided` in it."""
    owner = value
    while True:
        base = owner.base
        if type(base).__name__ == "DummyArray":
            base = base.base
        if not isinstance(base, kind):
            return owner
        owner = base


def _buffer_of(value: Any) -> Any:
    """The object of Python that an array has its memory of; None when it is another's or its own.

    Raises:
        Unsaveable: A file that is mapped into memory.
    """
    base = value.base
    if type(base).__module__.startswith("torch"):
        return base
    while isinstance(base, memoryview) and base.obj is not None:
        base = base.obj
    if type(base).__name__ == "mmap":
        raise Unsaveable("a file that is mapped into memory")
    return base if isinstance(base, _BUFFERS) else None


def _start(buffer: Any, np: Any) -> int:
    return address_of(np.frombuffer(buffer, np.uint8)) if memoryview(buffer).nbytes else 0


def _is_open(value: Any) -> bool:
    return bool(value.flags.writeable)
