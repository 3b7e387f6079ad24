"""One line about a value of a builtin or standard type, by exact type (pure).

Called by `summaries`, which finds the function for a type in `BUILTINS`.

Each function takes a value of exactly its type, so its methods are those of C. Containers show
their first three elements: the value of an exact scalar, the type of anything else.
"""

import builtins
import re
import types
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.introspection import (
    module_dict,
    one_line,
    short_type_name,
    type_name,
)

globals()["__builtins__"] = FROZEN_BUILTINS

Summary = dict[str, Any]
Show = Callable[[Any], Summary]
WIDTH: Final = 120
"""Longest summary, in characters."""

_HEAD: Final = 80
_PIECE: Final = 30
_SHOWN: Final = 3
_BYTES: Final = 16
_MAX_DECIMAL_BITS: Final = 256  # above, the decimal text takes long and nobody reads it
_SPARSE_BYTES: Final = 4096
_function_of: Final = types.MethodType.__dict__["__func__"].__get__


def brief(value: object, width: int = _PIECE) -> str:
    """A scalar as it is written in code, anything else as `<its type>`; about 0.3 us."""
    kind = type(value)
    show = _SCALARS.get(id(kind))
    return f"<{short_type_name(kind)}>" if show is None else one_line(show(value), width)


def pieces(values: Iterable[object], total: int) -> str:
    """The first three of `total` values and how many more there are."""
    shown = ", ".join([brief(value) for value in islice(values, _SHOWN)])
    return f"{shown}, … {total - _SHOWN} more" if total > _SHOWN else shown


def number(value: int) -> str:
    """An integer in decimal, or its size in bits where that would be long."""
    bits = value.bit_length()
    if bits <= _MAX_DECIMAL_BITS:
        return str(value)
    return f"{'negative ' if value < 0 else ''}integer of {bits} bits"


def text_head(value: Any) -> str:
    """A string as it is written in code, or its head and length; constant time."""
    length = len(value)
    if length <= _HEAD:
        return one_line(repr(value[:_HEAD]), WIDTH)  # the slice of a `numpy.str_` is a plain string
    tail = f" {length} characters"
    return one_line(_cut(value, _HEAD), WIDTH - len(tail)) + tail


def _text(value: str) -> Summary:
    return {"type": "str", "len": len(value), "summary": text_head(value)}


def _short_text(value: str) -> str:
    return repr(value) if len(value) <= _PIECE else _cut(value, _PIECE - 3)


def _cut(value: Any, length: int) -> str:
    shown = repr(value[:length])
    return f"{shown[:-1]}…{shown[-1]}"


def _bytes_head(value: bytes | bytearray) -> str:
    if len(value) <= _BYTES:
        return repr(value)
    return f"{value[:_BYTES]!r}… {len(value)} bytes"


def _sequence(name: str, form: str) -> Show:
    before, after = form.split("*")

    def show(value: Any) -> Summary:
        length = len(value)
        inside = pieces(value[:_SHOWN], length)
        return {"type": name, "len": length, "summary": one_line(f"{before}{inside}{after}", WIDTH)}

    return show


def _tuple(value: tuple[object, ...]) -> Summary:
    length = len(value)
    inside = pieces(value[:_SHOWN], length)
    return {"type": "tuple", "len": length, "summary": f"({inside}{',' * (length == 1)})"}


def _set(name: str, form: str, sizeof: Callable[[Any], int]) -> Show:
    before, after = form.split("*")

    def show(value: Any) -> Summary:
        length = len(value)
        if not length:
            return {"type": name, "len": 0, "summary": f"{name}()"}
        is_sparse = sizeof(value) > sparse_above(length)
        inside = _count(length) if is_sparse else pieces(value, length)
        return {"type": name, "len": length, "summary": one_line(f"{before}{inside}{after}", WIDTH)}

    return show


def _mapping(name: str, form: str) -> Show:
    before, after = form.split("*")

    def show(value: Any) -> Summary:
        # The methods of `dict` itself: those of OrderedDict look keys up, which may run their code.
        length = dict.__len__(value)
        if dict.__sizeof__(value) > sparse_above(length):
            inside = _count(length)
        else:
            items = islice(dict.items(value), _SHOWN)
            inside = ", ".join([f"{brief(key)}: {brief(item)}" for key, item in items])
            inside += f", … {length - _SHOWN} more" if length > _SHOWN else ""
        return {"type": name, "len": length, "summary": one_line(f"{before}{inside}{after}", WIDTH)}

    return show


def sparse_above(length: int) -> int:
    """Bytes above which most slots of a dict or set are empty: finding elements takes long then."""
    return 200 * length + _SPARSE_BYTES


def _count(length: int) -> str:
    return f"{length} elements" if length != 1 else "1 element"


def _deque(value: "deque[object]") -> Summary:
    length = len(value)
    inside = pieces([value[i] for i in range(min(length, _SHOWN))], length)
    return {"type": "collections.deque", "len": length, "summary": f"deque([{inside}])"}


def _memoryview(value: memoryview) -> Summary:
    return {
        "type": "memoryview",
        "shape": list(value.shape or ()),
        "dtype": one_line(value.format, _PIECE),
        "nbytes": value.nbytes,
        "summary": f"memoryview of {value.nbytes} bytes",
    }


def _range(value: range) -> Summary:
    parts = f"{number(value.start)}, {number(value.stop)}"
    step = "" if value.step == 1 else f", {number(value.step)}"
    summary: Summary = {"type": "range"}
    try:
        summary["len"] = len(value)
    except OverflowError:  # longer than an index can be
        pass
    summary["summary"] = f"range({parts}{step})"
    return summary


def _slice(value: slice) -> str:
    return f"slice({brief(value.start)}, {brief(value.stop)}, {brief(value.step)})"


def _module(value: types.ModuleType) -> str:
    names = module_dict(value)
    name, version = names.get("__name__"), names.get("__version__")
    text = f"module {name}" if type(name) is str else "module"
    return f"{text} {version}" if type(version) is str else text


def _function(value: types.FunctionType) -> str:
    code = value.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return f"{_plain(value.__qualname__)}({', '.join(names)})"


def _method(value: types.MethodType) -> str:
    function = _function_of(value)
    if type(function) is not types.FunctionType:
        return "method"
    return f"method {_plain(function.__qualname__)}"


def _plain(name: object) -> str:
    """A name that may be an instance of a subclass of `str`, whose methods are not called."""
    return name if type(name) is str else "?"


def _exception(value: BaseException) -> str:
    return f"{short_type_name(type(value))}({pieces(value.args, len(value.args))})"


def _pattern(value: re.Pattern[str]) -> str:
    return f"re.compile({brief(value.pattern, _HEAD)})"


def _array(value: Any) -> Summary:
    length = len(value)
    return {
        "type": "array.array",
        "dtype": value.typecode,
        "len": length,
        "nbytes": length * value.itemsize,
        "summary": f"array('{value.typecode}', [{pieces(value[:_SHOWN], length)}])",
    }


def line(name: str, show: Callable[[Any], str]) -> Show:
    """A function that gives the type `name` and the line that `show` makes."""
    return lambda value: {"type": name, "summary": one_line(show(value), WIDTH)}


def _sized(name: str, show: Callable[[Any], str]) -> Show:
    return lambda value: {
        "type": name,
        "len": len(value),
        "summary": one_line(show(value), WIDTH),
    }


def _named(prefix: str) -> Callable[[Any], str]:
    return lambda value: f"{prefix} {_plain(value.__name__)}"


def class_line(value: type) -> str:
    """A class as `class module.Name`."""
    return one_line(f"class {type_name(value)}", WIDTH)


_SCALARS: Final[dict[int, Callable[[Any], str]]] = {
    id(type(None)): repr,
    id(type(...)): repr,
    id(bool): repr,
    id(int): number,
    id(float): repr,
    id(complex): repr,
    id(str): _short_text,
    id(bytes): _bytes_head,
}

BUILTINS: Final[dict[int, Show]] = {
    id(type(None)): line("NoneType", repr),
    id(type(...)): line("ellipsis", repr),
    id(type(NotImplemented)): line("NotImplementedType", repr),
    id(bool): line("bool", repr),
    id(int): line("int", number),
    id(float): line("float", repr),
    id(complex): line("complex", repr),
    id(str): _text,
    id(bytes): _sized("bytes", _bytes_head),
    id(bytearray): _sized("bytearray", _bytes_head),
    id(memoryview): _memoryview,
    id(list): _sequence("list", "[*]"),
    id(tuple): _tuple,
    id(set): _set("set", "{*}", set.__sizeof__),
    id(frozenset): _set("frozenset", "frozenset({*})", frozenset.__sizeof__),
    id(dict): _mapping("dict", "{*}"),
    id(OrderedDict): _mapping("collections.OrderedDict", "OrderedDict({*})"),
    id(defaultdict): _mapping("collections.defaultdict", "defaultdict({*})"),
    id(Counter): _mapping("collections.Counter", "Counter({*})"),
    id(deque): _deque,
    id(range): _range,
    id(slice): line("slice", _slice),
    id(types.ModuleType): line("module", _module),
    id(types.FunctionType): line("function", _function),
    id(types.BuiltinFunctionType): line("builtin_function_or_method", _named("builtin")),
    id(types.MethodType): line("method", _method),
    id(type): line("type", class_line),
    id(types.GeneratorType): line("generator", _named("generator")),
    id(types.CoroutineType): line("coroutine", _named("coroutine")),
    id(types.AsyncGeneratorType): line("async_generator", _named("async generator")),
    id(re.Pattern): line("re.Pattern", _pattern),
    id(array): _array,
    **{
        id(kind): line(name, _exception)
        for name, kind in vars(builtins).items()
        if type(kind) is type and BaseException in kind.__mro__ and kind.__name__ == name
    },
}
"""The function for each type, by the type's id: hashing a class may run its metaclass's code."""
