"""Takes values apart for another process: functions and classes by value, memory out of band.

Called by `transfer`.

    function, class     the other process imports it, or it goes as what it consists of
    their globals       those of the session: the receiver's; `needed` tells which names they read
    array               its memory with its layout, so that views stay views
    array of texts      one text, when it consists of texts and holes and of nothing else
    block of pandas     memory apart: frames that share theirs forget on the way to copy on write
"""

import pickle
import sys
from collections.abc import Callable
from enum import Enum
from types import FunctionType
from typing import Any, Final, Protocol

from flow_kernel.records.bytecode import DYNAMIC, CodeNames, words
from flow_kernel.records.class_parts import MAIN
from flow_kernel.workers import transfer_classes as classes
from flow_kernel.workers import transfer_rebuild as rebuild
from flow_kernel.workers.transfer_arena import Buffer

_MANY_TEXTS: Final = 10_000
_SAMPLE: Final = 1_000
_IN_COLUMNS: Final = frozenset({str, type(None), float})
_SPARSE: Final = 4  # a window may be so many times larger than what is seen through it
_SPARSE_BYTES: Final = 1 << 20


class _Writer(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Buffers:
    """Takes the buffers; by itself, so that the pickler and what it remembers die at once."""

    def __init__(self) -> None:
        self.taken: list[Buffer] = []
        self.address: int | None = None
        self.is_apart = 0

    def __call__(self, buffer: pickle.PickleBuffer) -> None:
        address, self.address = self.address, None
        self.taken.append(Buffer(buffer.raw(), None if self.is_apart else address))


class _Memory:
    """The memory that an array lies on, from its first byte to its last."""

    def __init__(self, array: Any, address: int, nbytes: int) -> None:
        self.owner = array
        self.__array_interface__ = {
            "version": 3,
            "data": (address, not array.flags.writeable),
            "shape": (nbytes,),
            "typestr": "|u1",
        }


class _Mark:
    """Where something begins or ends that shares no memory."""

    def __init__(self, step: int) -> None:
        self.step = step


class Outbound(pickle.Pickler):
    """One stream of several values, one `dump` for each.

    Args:
        file: Takes the stream.
        home: The globals of the session, which stay behind.
        owners: Ids of arrays that are sent in any case, so a view of one costs nothing.
    """

    def __init__(self, file: _Writer, home: Any, owners: frozenset[int] = frozenset()) -> None:
        self._buffers = _Buffers()
        super().__init__(file, 5, buffer_callback=self._buffers)
        main = vars(sys.modules[MAIN])
        # The receiver's memo begins with its own globals twice.
        second: Any = main if main is not home else {}
        self.memo = {id(home): (0, home), id(second): (1, second)}
        self._homes = {id(home): home, id(second): second}
        self._private: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._owners = owners
        self._ways: dict[type, Callable[[Outbound, Any], Any]] = {FunctionType: Outbound._function}
        self.needed: dict[str, object] = {}
        """Globals of the session that functions read, as they were met."""

    @property
    def buffers(self) -> list[Buffer]:
        """What is sent beside the stream."""
        return self._buffers.taken

    def reducer_override(self, value: Any) -> Any:
        """What `value` consists of; NotImplemented for pickle's own way."""
        kind = type(value)
        way = self._ways.get(kind)
        if way is None:
            way = self._ways[kind] = _way(kind)
        reduced = way(self, value)
        return NotImplemented if reduced is None else reduced

    def _function(self, value: FunctionType) -> Any:
        if classes.is_found(value):
            return None
        own_globals = value.__globals__
        if id(own_globals) in self._homes:
            for name in reads(value, own_globals):
                self.needed.setdefault(name, own_globals[name])
            return classes.function(value, own_globals, {})
        module = str(own_globals.get("__name__"))
        if vars(sys.modules.get(module, rebuild)) is own_globals:
            return classes.function(value, _GlobalsOf(module), {})
        # Those of `exec`, or of the maker of a named tuple: as much as its functions read.
        _, shared = self._private.setdefault(id(own_globals), (own_globals, {}))
        names = reads(value, own_globals)
        return classes.function(value, shared, {name: own_globals[name] for name in names})

    def _array(self, value: Any) -> Any:
        dtype = value.dtype
        if dtype.hasobject:
            return _texts(value)
        if value.size == 0 or dtype.itemsize == 0:
            return None
        at = low = value.__array_interface__["data"][0]
        high = low + dtype.itemsize
        for count, stride in zip(value.shape, value.strides, strict=True):
            reach = (count - 1) * stride
            low, high = (low + reach, high) if reach < 0 else (low, high + reach)
        is_sparse = high - low > _SPARSE * value.nbytes + _SPARSE_BYTES
        if is_sparse and id(owner(value)) not in self._owners:
            return self._array(value.copy(order="K"))
        flat = sys.modules["numpy"].asarray(_Memory(value, low, high - low))
        self._buffers.address = low  # that of the next buffer, which is the first argument
        return rebuild.array, (
            pickle.PickleBuffer(flat),
            dtype,
            value.shape,
            value.strides,
            at - low,
        )

    def _block(self, value: Any) -> Any:
        made, (held, *rest) = value.__reduce__()
        # Another object for each: one array in two frames would be one array over there.
        return rebuild.apart, (_Mark(1), made, (held.view(), *rest), _Mark(-1))

    def _mark(self, value: _Mark) -> Any:
        self._buffers.is_apart += value.step
        return rebuild.nothing, ()


class _GlobalsOf:
    """Stands for the globals of a module."""

    def __init__(self, module: str) -> None:
        self.module = module

    def __reduce__(self) -> Any:
        return rebuild.globals_of, (self.module,)


def owner(array: Any) -> Any:
    """The array that an array is a view of, or itself."""
    while type(array.base) is type(array):
        array = array.base
    return array


def reads(function: FunctionType, namespace: Any) -> list[str]:
    """Global names that a function reads, itself or in its nested code, and that exist."""
    found = CodeNames()
    found.add(function.__code__)
    names = set(found.loads)
    if names & DYNAMIC:
        names.update(*map(words, found.texts))
    return sorted(name for name in names if name in namespace)


def _texts(array: Any) -> Any:
    """An array of texts as one text; None for one that pickle does as well or better."""
    if array.size < _MANY_TEXTS:
        return None
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    flat = array.ravel(order=order)
    few = flat[:: max(1, array.size // _SAMPLE)].tolist()
    texts = [id(one) for one in few if type(one) is str]
    # The same objects again and again: of these pickle writes each once.
    if not _IN_COLUMNS.issuperset(map(type, few)) or len({*texts}) < len(texts) // 2:
        return None
    values = flat.tolist()
    places: list[int] = []
    if (kinds := set(map(type, values))) != {str}:
        if not kinds <= _IN_COLUMNS:
            return None
        places = [at for at, one in enumerate(values) if type(one) is not str]
    holes = [values[at] for at in places]
    if any(one is not None and one == one for one in holes):  # noqa: PLR0124 - a number, not NaN
        return None
    for at in places:
        values[at] = ""
    for separator in rebuild.SEPARATORS:
        joined = separator.join(values)
        if joined.count(separator) == len(values) - 1:
            data = pickle.PickleBuffer(joined.encode("utf-8", "surrogatepass"))
            return rebuild.texts, (data, separator, (places, holes), (array.shape, order))
    return None


def _plain(_: Outbound, __: object) -> None:
    """Pickle's own way."""


def _way(kind: type) -> Callable[[Outbound, Any], Any]:
    if (part := classes.PARTS.get(kind)) is not None:
        return lambda _, value: part(value)
    if issubclass(kind, type):
        return lambda _, value: classes.a_class(value)
    if issubclass(kind, Enum):
        return lambda _, value: classes.member(value)
    return _OWN.get(kind) or _of_libraries(kind)


def _of_libraries(kind: type) -> Callable[[Outbound, Any], Any]:
    """For classes of libraries, which are loaded if there is a value of them."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and kind is getattr(numpy, "ndarray", None):
        return Outbound._array
    internals: Any = sys.modules.get("pandas._libs.internals")
    if internals is not None and issubclass(kind, getattr(internals, "Block", ())):
        return Outbound._block
    return _plain


_OWN: Final[dict[type, Callable[[Outbound, Any], Any]]] = {
    _Mark: Outbound._mark,
}
