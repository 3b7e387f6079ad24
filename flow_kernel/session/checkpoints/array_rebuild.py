"""Puts numpy's arrays together again; named in what was saved, so these names stay.

Called by the unpickler of `loading`.
"""

from typing import Any, Final, Literal, NamedTuple


class Text(NamedTuple):
    """The strings of an array.

    Attributes:
        data: All of them in UTF-8, with `BETWEEN` between them.
        lengths: How many characters each has, where one has `BETWEEN` in it; else nothing.
        nans: Places where `numpy.nan` stands.
        nones: Places where None stands.
    """

    data: Any
    lengths: Any
    nans: list[int]
    nones: list[int]


def owner(data: Any, dtype: Any, shape: tuple[int, ...], order: str, is_writeable: bool) -> Any:
    """An array that owns its memory."""
    import numpy as np  # only where an array is loaded

    if hasattr(data, "taken_over"):  # it may be in the session already
        found = data.taken_over(dtype, shape, order, is_writeable=is_writeable)
        if found is not None:
            return found
    return _filled(np.empty(shape, dtype, order=_order(order)), data, order, is_writeable)


def owner_of_class(
    kind: Any, data: Any, dtype: Any, shape: tuple[int, ...], order: str, is_writeable: bool
) -> Any:
    """An array of another class that owns its memory."""
    import numpy as np  # only where an array is loaded

    made = np.ndarray.__new__(kind, shape, dtype, order=_order(order))
    _filled(made.view(np.ndarray), data, order, True)
    made.flags.writeable = is_writeable
    return made


def _order(name: str) -> Literal["C", "F"]:
    return "C" if name == "C" else "F"


def _filled(made: Any, data: Any, order: str, is_writeable: bool) -> Any:
    import numpy as np  # only where an array is loaded

    if made.size:
        flat = made.reshape(-1, order=order).view(np.uint8)
        if hasattr(data, "read_into"):  # straight to where it belongs: a copy less
            data.read_into(memoryview(flat))
        else:
            flat[...] = np.frombuffer(data, np.uint8)
    made.flags.writeable = is_writeable
    return made


def object_array(shape: tuple[int, ...], order: str) -> Any:
    """An array of objects, without them."""
    import numpy as np  # only where an array is loaded

    return np.empty(shape, object, order="C" if order == "C" else "F")


def fill_object_array(value: Any, content: tuple[list[Any] | Text, bool]) -> None:
    """Put the objects in, one by one: lists among them are no rows."""
    import numpy as np  # only where an array is loaded

    objects, is_writeable = content
    if isinstance(objects, Text):
        value.flat[:] = np.array(_strings(objects), object)
    else:
        for place, one in enumerate(objects):
            value.flat[place] = one
    value.flags.writeable = is_writeable


BETWEEN: Final = "\0"
_OFTEN: Final = 4


def _strings(text: Text) -> list[Any]:
    """The strings; equal ones are one object where most come several times."""
    import numpy as np  # only where an array is loaded

    whole = bytes(text.data).decode("utf-8", "surrogatepass")
    if bytes(text.lengths):
        ends = np.cumsum(np.frombuffer(text.lengths, np.int64)).tolist()
        starts = [0, *ends[:-1]]
        found = [whole[start:end] for start, end in zip(starts, ends, strict=True)]
    else:
        found = whole.split(BETWEEN)
    distinct = {one: one for one in found}
    if len(distinct) * _OFTEN < len(found):
        found = list(map(distinct.__getitem__, found))
    values: list[Any] = found
    for place in text.nans:
        values[place] = np.nan
    for place in text.nones:
        values[place] = None
    return values


def _closed(made: Any, is_writeable: bool) -> Any:
    """A view that could not be written to cannot be now; none is opened."""
    if made.flags.writeable and not is_writeable:
        made.flags.writeable = False
    return made


def view(
    owner: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: Any,
    is_writeable: bool,
) -> Any:
    """A view of an array."""
    import numpy as np  # only where an array is loaded

    # A view that was made before its owner was closed is open still.
    opens = is_writeable and not owner.flags.writeable
    if opens:
        owner.flags.writeable = True
    if dtype.hasobject:
        flat = np.lib.stride_tricks.as_strided(owner, (owner.size,), (dtype.itemsize,))
        made = np.lib.stride_tricks.as_strided(flat[offset // dtype.itemsize :], shape, strides)
    else:
        made = np.ndarray(shape, dtype, owner, offset, strides)
    if opens:
        owner.flags.writeable = False
    return _closed(made, is_writeable)


def of_buffer(
    buffer: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: Any,
    is_writeable: bool,
) -> Any:
    """A view of memory that a bytearray or the like owns."""
    import numpy as np  # only where an array is loaded

    if not memoryview(buffer).nbytes:
        return np.ndarray(shape, dtype)
    made = np.ndarray(shape, dtype, np.frombuffer(buffer, np.uint8), offset, strides)
    return _closed(made, is_writeable)


def of_tensor(
    tensor: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: Any,
    is_writeable: bool,
) -> Any:
    """An array that a tensor owns."""
    return view(tensor.detach().numpy(), offset, shape, strides, dtype, is_writeable)


def of_class(  # noqa: PLR0913, PLR0917 - called by an unpickler
    kind: Any,
    owner: Any,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: Any,
    is_writeable: bool,
) -> Any:
    """An array of another class."""
    import numpy as np  # only where an array is loaded

    made = np.ndarray.__new__(kind, shape, dtype, owner, offset, strides)
    return _closed(made, is_writeable)


def set_attributes(value: Any, state: dict[str, Any]) -> None:
    """The attributes of an array of another class, whatever it does when they are set."""
    if state or hasattr(value, "__dict__"):
        vars(value).clear()
        vars(value).update(state)


def row(owner: Any, offset: int, dtype: Any) -> Any:
    """A row of a structured array, which shares its memory."""
    import numpy as np  # only where an array is loaded

    return np.ndarray((), dtype, owner, offset)[()]


def global_random() -> Any:
    """The generator behind the functions of `numpy.random`."""
    import numpy as np  # only where one is loaded

    return np.random.mtrand._rand
