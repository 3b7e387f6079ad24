"""One line about a value of numpy, pandas, polars, torch or pyarrow (pure).

Called by `summaries` once a library is loaded; `LIBRARIES` makes its functions by type.

Only facts that cost the same for any size: shape, dtype, bytes, names of the first columns, the
first numbers of an array. Nothing is computed, converted or imported, and elements of object arrays
are not shown.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.introspection import is_static, one_line
from flow_kernel.records.libraries import (
    UnfamiliarError,
    class_in,
    dtype_text,
    getter,
    loaded,
    ndarray_type,
    owns_memory,
)
from flow_kernel.records.pandas_reader import PandasReader
from flow_kernel.records.summaries_builtins import (
    WIDTH,
    Show,
    Summary,
    brief,
    line,
    pieces,
    text_head,
)

globals()["__builtins__"] = FROZEN_BUILTINS

_COLUMNS: Final = 6
_MAX_COLUMNS: Final = 200  # polars and pyarrow list all names at once
_SCALAR_NAMES: Final = (
    "bool_", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip


def _numpy() -> dict[type, Show]:
    ndarray = ndarray_type()

    def array(value: Any) -> Summary:
        shape, dtype = value.shape, dtype_text(value.dtype)
        sizes = "x".join(map(str, shape)) + " " if len(shape) > 1 else ""
        shown = _numbers(value, ndarray)
        return {
            "type": "numpy.ndarray",
            "shape": list(shape),
            "dtype": dtype,
            "nbytes": value.nbytes,
            "summary": one_line(f"{dtype} array {sizes}{shown}".rstrip(), WIDTH),
        }

    def scalar(value: Any) -> Summary:
        dtype = dtype_text(value.dtype)
        return {"type": f"numpy.{dtype}", "dtype": dtype, "summary": brief(value.item(), WIDTH)}

    def text(value: Any) -> Summary:
        return {"type": "numpy.str_", "len": len(value), "summary": text_head(value)}

    found: dict[type, Show] = {ndarray: array, class_in("numpy", "str_"): text}
    for name in _SCALAR_NAMES:
        kind = loaded("numpy").get(name)
        if type(kind) is type and is_static(kind) and kind.__module__ == "numpy":
            found[kind] = scalar
    return found


def _numbers(array: Any, ndarray: type) -> str:
    """The first three numbers of an array whose memory may be read, in brackets."""
    size = array.size
    if array.dtype.kind not in "biuf" or not size or not owns_memory(array, ndarray):
        return ""
    shown = [_number(array.item(i)) for i in range(min(size, 3))]
    return f"[{', '.join(shown)}{f', … {size - 3} more' if size > 3 else ''}]"


def _number(value: object) -> str:
    return f"{value:.6g}" if type(value) is float else str(value)


def _pandas() -> dict[type, Show]:
    reader = PandasReader()
    found: dict[type, Show] = {
        reader.frame: lambda value: _frame(reader, value),
        reader.series: lambda value: _series(reader, value),
        class_in("pandas", "Timestamp"): _timestamp(),
    }
    return found | {kind: _index(reader, name) for name, kind in reader.indexes.items()}


def _frame(reader: PandasReader, value: object) -> Summary:
    axes, blocks = reader.parts(value)
    columns, rows = reader.length(axes[0]), reader.length(axes[1])
    summary: Summary = {"type": "pandas.DataFrame", "shape": [rows, columns]}
    dtype, nbytes = reader.condensed(blocks)
    if dtype:
        summary["dtype"] = one_line(dtype, WIDTH)
    if nbytes is not None:
        summary["nbytes"] = nbytes
    try:
        labels = reader.labels(axes[0], _COLUMNS)
    except UnfamiliarError:
        labels = None
    summary["summary"] = _table_line(rows, columns, labels)
    return summary


def _series(reader: PandasReader, value: object) -> Summary:
    axes, blocks = reader.parts(value)
    rows = reader.length(axes[0])
    array = reader.values(blocks[0])
    name = reader.attribute(value, "_name")
    dtype = reader.dtype(array)
    summary: Summary = {"type": "pandas.Series", "shape": [rows], "dtype": dtype}
    shown = ""
    if type(array) is reader.ndarray and dtype != "object":
        summary["nbytes"] = array.nbytes  # type: ignore[attr-defined]  # an ndarray
        shown = _numbers(array, reader.ndarray)
    title = "" if name is None else f" {brief(name)}"
    summary["summary"] = one_line(f"{dtype} series{title} of {rows} {shown}".rstrip(), WIDTH)
    return summary


def _index(reader: PandasReader, name: str) -> Show:
    def show(value: object) -> Summary:
        length = reader.length(value)
        labels = reader.labels(value, 3)
        inside = "" if labels is None else f" [{pieces(labels, length)}]"
        return {
            "type": f"pandas.{name}",
            "len": length,
            "summary": one_line(f"index of {length}{inside}", WIDTH),
        }

    return show


def _timestamp() -> Show:
    moment = class_in("datetime", "datetime")
    names = ("year", "month", "day", "hour", "minute", "second")
    getters = [getter(moment, name) for name in names]

    def show(value: object) -> str:
        year, *rest = [get(value) for get in getters]
        return "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(year, *rest)

    return line("pandas.Timestamp", show)


def _table_line(rows: int, columns: int, labels: Sequence[object] | None) -> str:
    sizes = f"{_count(rows, 'row')}, {_count(columns, 'column')}"
    if not labels:
        return sizes
    names = [label if type(label) is str else brief(label) for label in labels]
    more = f", … {columns - len(names)} more" if columns > len(names) else ""
    shown = ", ".join([one_line(name, 24) for name in names])
    return one_line(f"{sizes}: {shown}{more}", WIDTH)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _polars() -> dict[type, Show]:
    frame = class_in("polars.dataframe.frame", "DataFrame")
    series = class_in("polars.series.series", "Series")
    frame_dict, series_dict = getter(frame, "__dict__"), getter(series, "__dict__")
    native = loaded("polars._plr")
    frame_type, series_type = native["PyDataFrame"], native["PySeries"]
    shape, names = getter(frame_type, "shape"), getter(frame_type, "columns")  # type: ignore[arg-type]  # classes
    length, title = getter(series_type, "len"), getter(series_type, "name")  # type: ignore[arg-type]  # classes

    def show_frame(value: object) -> Summary:
        inner = frame_dict(value).get("_df")
        if type(inner) is not frame_type:
            raise UnfamiliarError("_df")
        rows, columns = shape(inner)()
        labels = names(inner)()[:_COLUMNS] if columns <= _MAX_COLUMNS else None
        line = _table_line(rows, columns, labels)
        return {"type": "polars.DataFrame", "shape": [rows, columns], "summary": line}

    def show_series(value: object) -> Summary:
        inner = series_dict(value).get("_s")
        if type(inner) is not series_type:
            raise UnfamiliarError("_s")
        rows = length(inner)()
        line = one_line(f"series {brief(title(inner)())} of {rows}", WIDTH)
        return {"type": "polars.Series", "shape": [rows], "summary": line}

    return {frame: show_frame, series: show_series}


def _torch() -> dict[type, Show]:
    tensor = class_in("torch", "Tensor")
    base = class_in("torch._C", "TensorBase")
    shape, dtype, device = (getter(base, name) for name in ("shape", "dtype", "device"))
    modes: Any = loaded("torch._C")["_len_torch_function_stack"]

    def show(value: object) -> Summary:
        if modes():  # an active mode of torch would answer instead, with code of its own
            return {"type": "torch.Tensor", "summary": "tensor"}
        sizes, kind = list(shape(value)), str(dtype(value)).removeprefix("torch.")
        text = "x".join(map(str, sizes)) or "scalar"
        return {
            "type": "torch.Tensor",
            "shape": sizes,
            "dtype": kind,
            "summary": f"{kind} tensor {text} on {device(value)}",
        }

    return {tensor: show}


def _pyarrow() -> dict[type, Show]:
    table = class_in("pyarrow.lib", "Table")
    if not is_static(table):
        raise UnfamiliarError("Table")

    def show(value: Any) -> Summary:
        rows, columns = value.num_rows, value.num_columns
        labels = value.schema.names[:_COLUMNS] if columns <= _MAX_COLUMNS else None
        return {
            "type": "pyarrow.Table",
            "shape": [rows, columns],
            "summary": _table_line(rows, columns, labels),
        }

    return {table: show}


LIBRARIES: Final[dict[str, Callable[[], dict[type, Show]]]] = {
    "numpy": _numpy,
    "pandas": _pandas,
    "polars": _polars,
    "torch": _torch,
    "pyarrow": _pyarrow,
}
"""What makes the functions of a library; each raises `UnfamiliarError` while it cannot."""
