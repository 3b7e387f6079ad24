"""Arrays, tables and tensors are described by facts that cost the same for any size."""

import datetime
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flow_kernel.records.summaries import summarise
from tests.records.hostile import Key, watched


def test_arrays_show_shape_dtype_bytes_and_three_numbers() -> None:
    assert [
        summarise(np.arange(6.0).reshape(2, 3)),
        summarise(np.array([1, 2], dtype=">i2")),
        summarise(np.array(7, dtype="u1")),
        summarise(np.zeros(0)),
        summarise(np.array(["2024-05-01"], dtype="M8[s]")),
        summarise(np.zeros(2, dtype="i4,f8")),
    ] == [
        {
            "type": "numpy.ndarray",
            "shape": [2, 3],
            "dtype": "float64",
            "nbytes": 48,
            "summary": "float64 array 2x3 [0, 1, 2, … 3 more]",
        },
        {
            "type": "numpy.ndarray",
            "shape": [2],
            "dtype": ">i2",
            "nbytes": 4,
            "summary": ">i2 array [1, 2]",
        },
        {
            "type": "numpy.ndarray",
            "shape": [],
            "dtype": "uint8",
            "nbytes": 1,
            "summary": "uint8 array [7]",
        },
        {
            "type": "numpy.ndarray",
            "shape": [0],
            "dtype": "float64",
            "nbytes": 0,
            "summary": "float64 array",
        },
        {
            "type": "numpy.ndarray",
            "shape": [1],
            "dtype": "datetime64[s]",
            "nbytes": 8,
            "summary": "datetime64[s] array",
        },
        {
            "type": "numpy.ndarray",
            "shape": [2],
            "dtype": "record(2)",
            "nbytes": 24,
            "summary": "record(2) array",
        },
    ]


def test_scalars_of_numpy_show_their_value() -> None:
    assert [summarise(v) for v in (np.float64(0.5), np.int8(-3), np.bool_(1), np.str_("a"))] == [
        {"type": "numpy.float64", "dtype": "float64", "summary": "0.5"},
        {"type": "numpy.int8", "dtype": "int8", "summary": "-3"},
        {"type": "numpy.bool", "dtype": "bool", "summary": "True"},
        {"type": "numpy.str_", "len": 1, "summary": "'a'"},
    ]


def test_elements_of_object_arrays_are_not_shown() -> None:
    array = np.array([Key(), None], dtype=object)
    with watched() as touched:
        found = summarise(array)

    assert touched == []
    assert found["summary"] == "object array"


def test_a_subclass_of_an_array_is_a_class_of_a_user() -> None:
    class Mine(np.ndarray):
        def __array_finalize__(self, _: object) -> None:
            touched.append("finalize")

    touched: list[str] = []
    mine = np.zeros(3).view(Mine)
    touched.clear()
    assert summarise(mine)["summary"] == "instance"
    assert touched == []


def test_the_pages_of_a_mapped_file_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(1 << 16))
    array = np.asarray(np.memmap(path, dtype="u1", mode="r"))
    path.write_bytes(b"")  # reading the array now would end the process with SIGBUS

    assert summarise(array)["summary"] == "uint8 array"


def test_frames_show_shape_columns_dtypes_and_bytes() -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "price": [0.5, 1.5, 2.5], "qty": [1, 2, 3]})
    frame.insert(3, "when", pd.date_range("2024-05-01", periods=3, unit="s"))

    assert summarise(frame[["id", "price", "qty"]]) == {
        "type": "pandas.DataFrame",
        "shape": [3, 3],
        "dtype": "2 int64, 1 float64",
        "nbytes": 72,
        "summary": "3 rows, 3 columns: id, price, qty",
    }
    found = summarise(frame)
    assert set(found.pop("dtype").split(", ")) == {"2 int64", "1 float64", "1 datetime64[s]"}
    assert found == {
        "type": "pandas.DataFrame",
        "shape": [3, 4],
        "summary": "3 rows, 4 columns: id, price, qty, when",
    }


def test_frames_of_any_kind_of_column_have_a_shape() -> None:
    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64")})
    frame["kind"] = pd.Categorical(["x", "y"])
    frame["zoned"] = pd.date_range("2024-05-01", periods=2, tz="UTC", unit="s")
    frame["span"] = pd.arrays.IntervalArray.from_breaks([0, 1, 2])
    frame["object"] = [object(), None]

    found = summarise(frame)

    assert found == {
        "type": "pandas.DataFrame",
        "shape": [2, 5],
        "dtype": "1 Int64, 1 category, 1 datetime64[s, tz], 1 interval, 1 object",
        "summary": "2 rows, 5 columns: n, kind, zoned, span, object",
    }
    text = summarise(pd.DataFrame({"text": ["a", "b"]}))
    assert text["dtype"] in ("1 str", "1 object")  # of pandas 3 and 2


def test_wide_and_broken_up_frames_cost_no_more_than_others() -> None:
    wide = pd.DataFrame(np.zeros((2, 500)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pd.errors.PerformanceWarning)
        for i in range(200):
            wide[f"new{i}"] = i % 2 == 0

    found = summarise(wide)

    assert found["shape"] == [2, 700]
    assert found["dtype"].endswith(", …")
    assert found["summary"] == "2 rows, 700 columns: 0, 1, 2, 3, 4, 5, … 694 more"


def test_empty_frames_and_odd_labels() -> None:
    assert summarise(pd.DataFrame()) == {
        "type": "pandas.DataFrame",
        "shape": [0, 0],
        "nbytes": 0,
        "summary": "0 rows, 0 columns",
    }
    columns: list[Any] = ["a\nb", 3, ("x", 1), Key()]
    frame = pd.DataFrame([[1, 2, 3, 4]])
    frame.columns = pd.Index(columns, dtype=object, tupleize_cols=False)
    with watched() as touched:
        found = summarise(frame)
    assert touched == []
    assert found["summary"] == "1 row, 4 columns: a\\nb, 3, <tuple>, <Key>"


def test_series_and_indexes_show_their_first_values() -> None:
    levels = pd.MultiIndex.from_product([["a"], [1, 2]])
    assert [
        summarise(pd.Series([1, 2, 3, 4], name="price")),
        summarise(pd.Series([0.5], index=levels[:1])),
        summarise(pd.Index([1, 2, 3, 4])),
        summarise(pd.RangeIndex(2)),
        summarise(pd.Index(["a", "b"])),
        summarise(pd.date_range("2024-05-01", periods=3)),
        summarise(levels),
        summarise(pd.CategoricalIndex(["x"])),
        summarise(pd.Timestamp("2024-05-01 12:30", tz="UTC")),
    ] == [
        {
            "type": "pandas.Series",
            "shape": [4],
            "dtype": "int64",
            "nbytes": 32,
            "summary": "int64 series 'price' of 4 [1, 2, 3, … 1 more]",
        },
        {
            "type": "pandas.Series",
            "shape": [1],
            "dtype": "float64",
            "nbytes": 8,
            "summary": "float64 series of 1 [0.5]",
        },
        {"type": "pandas.Index", "len": 4, "summary": "index of 4 [1, 2, 3, … 1 more]"},
        {"type": "pandas.RangeIndex", "len": 2, "summary": "index of 2 [0, 1]"},
        {"type": "pandas.Index", "len": 2, "summary": "index of 2 ['a', 'b']"},
        {"type": "pandas.DatetimeIndex", "len": 3, "summary": "index of 3"},
        {"type": "pandas.MultiIndex", "len": 2, "summary": "index of 2"},
        {"type": "pandas.CategoricalIndex", "len": 1, "summary": "index of 1"},
        {"type": "pandas.Timestamp", "summary": "2024-05-01 12:30:00"},
    ]


def test_pandas_code_does_not_run_and_its_caches_stay_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = pd.DataFrame({"a": [1], "b": ["x"]})
    summarise(frame)
    before = {name: dict(vars(axis)["_cache"]) for name, axis in _axes(frame).items()}

    def trap(*_: object, **__: object) -> Any:
        raise SystemExit

    for name in ("shape", "dtypes", "columns", "index", "__len__", "__getattr__", "memory_usage"):
        monkeypatch.setattr(pd.DataFrame, name, trap, raising=False)
    monkeypatch.setattr(pd.Index, "__len__", trap)

    found = summarise(frame)

    assert found["shape"] == [1, 2]
    assert {name: vars(axis)["_cache"] for name, axis in _axes(frame).items()} == before


def test_a_frame_of_a_users_subclass_is_an_instance() -> None:
    class Geo(pd.DataFrame):
        @property
        def _mgr(self) -> Any:
            raise SystemExit

        @_mgr.setter
        def _mgr(self, value: Any) -> None:
            self.__dict__["_mgr"] = value

    assert summarise(Geo({"a": [1]}))["summary"] == "instance"


def test_arrays_and_frames_are_not_kept_alive() -> None:
    array, frame = np.zeros(10), pd.DataFrame({"a": [1]})
    references = sys.getrefcount(array)

    summarise(array)
    summarise(frame)

    assert sys.getrefcount(array) == references
    array.resize(20)  # refused while anything refers to the array
    gone = weakref.ref(frame)
    del frame
    assert gone() is None


def test_polars_tables_show_shape_and_columns() -> None:
    pl = pytest.importorskip("polars")
    assert [summarise(pl.DataFrame({"a": [1], "b": ["x"]})), summarise(pl.Series("q", [1]))] == [
        {"type": "polars.DataFrame", "shape": [1, 2], "summary": "1 row, 2 columns: a, b"},
        {"type": "polars.Series", "shape": [1], "summary": "series 'q' of 1"},
    ]


def test_tensors_show_shape_dtype_and_device() -> None:
    torch = pytest.importorskip("torch")
    assert summarise(torch.zeros(3, 4)) == {
        "type": "torch.Tensor",
        "shape": [3, 4],
        "dtype": "float32",
        "summary": "float32 tensor 3x4 on cpu",
    }


def test_an_active_mode_of_torch_is_not_entered() -> None:
    torch = pytest.importorskip("torch")
    overrides = pytest.importorskip("torch.overrides")

    class Mode(overrides.TorchFunctionMode):  # type: ignore[name-defined,misc]  # only at run time
        def __torch_function__(self, *_: object) -> Any:
            raise SystemExit

    tensor = torch.zeros(3)
    with Mode():
        found = summarise(tensor)
    assert found == {"type": "torch.Tensor", "summary": "tensor"}


def test_arrow_tables_show_shape_and_columns() -> None:
    pa = pytest.importorskip("pyarrow")
    assert summarise(pa.table({"a": [1], "b": ["x"]})) == {
        "type": "pyarrow.Table",
        "shape": [1, 2],
        "summary": "1 row, 2 columns: a, b",
    }


def test_standard_moments_are_written_out() -> None:
    moment = datetime.datetime(2024, 5, 1, 12, 30)  # noqa: DTZ001  # a naive one
    assert summarise(moment) == {"type": "datetime.datetime", "summary": "2024-05-01 12:30:00"}
    assert summarise(moment.time()) == {"type": "datetime.time", "summary": "12:30:00"}


def _axes(frame: pd.DataFrame) -> dict[str, object]:
    manager: Any = vars(frame)["_mgr"]
    return dict(zip(("columns", "index"), manager.axes, strict=True))
