"""Changes inside arrays, tables and tensors are seen; reading them is never taken for one."""

import sys
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.records.samples import sample
from tests.records.hostile import Key, watched


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "a": [1, 2, 3],
            "b": [0.5, 1.5, 2.5],
            "text": ["x", "y", "z"],
            "kind": pd.Categorical(["u", "v", "u"]),
            "when": pd.date_range("2024-05-01", periods=3),
            "zoned": pd.date_range("2024-05-01", periods=3, tz="UTC"),
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "object": [[1], {2: 3}, None],
        }
    )


class Geo(pd.DataFrame):
    """A table of a user's own class."""


class Masked(np.ndarray):
    """An array of a user's own class."""


CHANGES: Final[dict[str, tuple[Callable[[], Any], Callable[[Any], object]]]] = {
    "a[0] = 9": (lambda: np.zeros(10), lambda a: a.__setitem__(0, 9)),
    "a[0] = 9 in 10**6": (lambda: np.zeros(10**6), lambda a: a.__setitem__(0, 9)),
    "a[-1] = 9 in 10**6": (lambda: np.zeros(10**6), lambda a: a.__setitem__(-1, 9)),
    "a *= 2 in 10**6": (lambda: np.ones(10**6), lambda a: a.__imul__(2)),
    "a[a > 5] = 0": (lambda: np.arange(10**6), lambda a: a.__setitem__(a > 500_000, 0)),
    "a[0, 0] = 9 in Fortran order": (
        lambda: np.zeros((1000, 1000), order="F"),
        lambda a: a.__setitem__((0, 0), 9),
    ),
    "a[0, 0] = 9 in a view": (
        lambda: np.zeros((1000, 1000))[::2, ::3],
        lambda a: a.__setitem__((0, 0), 9),
    ),
    "a.sort()": (lambda: np.arange(10, 0, -1), lambda a: a.sort()),
    "a.resize(20)": (lambda: np.zeros(10), lambda a: a.resize(20, refcheck=False)),
    "a.setflags": (lambda: np.zeros(10), lambda a: a.setflags(write=False)),
    "objects[0] = x": (
        lambda: np.array([None, 1], dtype=object),
        lambda a: a.__setitem__(0, "other"),
    ),
    "records['f0'] = 1": (lambda: np.zeros(3, "i4,f8"), lambda a: a["f0"].__setitem__(1, 7)),
    "masked[0] = 9": (lambda: np.zeros(10).view(np.ndarray), lambda a: a.__setitem__(3, 9)),
    "df['new'] = 1": (_frame, lambda d: d.__setitem__("new", 1)),
    "df['a'] = 1": (_frame, lambda d: d.__setitem__("a", [7, 8, 9])),
    "df.loc[0, 'a'] = 9": (_frame, lambda d: d.loc.__setitem__((0, "a"), 9)),
    "df.loc[1, 'b'] = 9": (_frame, lambda d: d.loc.__setitem__((1, "b"), 9.5)),
    "df.loc[1, 'text'] = 'q'": (_frame, lambda d: d.loc.__setitem__((1, "text"), "q")),
    "df.loc[0, 'kind'] = 'v'": (_frame, lambda d: d.loc.__setitem__((0, "kind"), "v")),
    "df.loc[0, 'whole'] = 5": (_frame, lambda d: d.loc.__setitem__((0, "whole"), 5)),
    "df.loc[0, 'when'] = …": (
        _frame,
        lambda d: d.loc.__setitem__((0, "when"), pd.Timestamp("2020-01-01")),
    ),
    "df.iloc[2, 1] = 9": (_frame, lambda d: d.iloc.__setitem__((2, 1), 9.5)),
    "df.loc[9] = row": (lambda: _frame()[["a", "b"]], lambda d: d.loc.__setitem__(9, [1, 2.0])),
    "df.drop(inplace)": (_frame, lambda d: d.drop(columns="a", inplace=True)),
    "df.rename(inplace)": (_frame, lambda d: d.rename(columns={"a": "z"}, inplace=True)),
    "df.columns = …": (_frame, lambda d: setattr(d, "columns", list("hgfedcba"))),
    "df.set_index(inplace)": (_frame, lambda d: d.set_index("a", inplace=True)),
    "df.sort_values(inplace)": (
        _frame,
        lambda d: d.sort_values("b", ascending=False, inplace=True),
    ),
    "df.fillna(inplace)": (_frame, lambda d: d.fillna({"whole": 0}, inplace=True)),
    "del df['a']": (_frame, lambda d: d.__delitem__("a")),
    "df.pop('a')": (_frame, lambda d: d.pop("a")),
    "df.insert": (_frame, lambda d: d.insert(0, "first", 1)),
    "s[0] = 9": (lambda: pd.Series([1, 2]), lambda s: s.__setitem__(0, 9)),
    "s.iloc[1] = 9": (lambda: pd.Series([1, 2]), lambda s: s.iloc.__setitem__(1, 9)),
    "s.loc['new'] = 9": (lambda: pd.Series({"a": 1}), lambda s: s.loc.__setitem__("new", 9)),
    "geo['new'] = 1": (lambda: Geo({"a": [1, 2]}), lambda d: d.__setitem__("new", 1)),
    "geo.loc[0, 'a'] = 9": (lambda: Geo({"a": [1, 2]}), lambda d: d.loc.__setitem__((0, "a"), 9)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_place_is_seen(name: str) -> None:
    make, change = CHANGES[name]
    value = make()
    before = sample(value)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas has deprecated `inplace`
        change(value)

    assert before is not None
    assert sample(value) != before


READS: Final[dict[str, Callable[[pd.DataFrame], object]]] = {
    "shape": lambda d: (d.shape, len(d), d.size, d.empty, d.ndim),
    "head": lambda d: d.head(),
    "repr": repr,
    "html": lambda d: d.to_html(),
    "describe": lambda d: d.describe(),
    "info": lambda d: d.info(buf=open("/dev/null", "w", encoding="utf-8")),  # noqa: SIM115
    "dtypes": lambda d: d.dtypes,
    "columns": lambda d: (d.columns, d.columns.is_unique, d.index.is_monotonic_increasing),
    "values": lambda d: d.values,
    "numpy": lambda d: d[["a", "b"]].to_numpy(),
    "mean": lambda d: d[["a", "b"]].mean(),
    "corr": lambda d: d[["a", "b"]].corr(),
    "column": lambda d: (d["a"], d.a, d["text"].str.upper()),
    "loc": lambda d: (d.loc[0, "a"], d.iloc[1], d.at[0, "a"], d[d.a > 1]),
    "groupby": lambda d: d.groupby("kind", observed=True)["a"].sum(),
    "merge": lambda d: d.merge(d[["a"]], on="a"),
    "sort": lambda d: d.sort_values("a"),
    "copy": lambda d: (d.copy(), d.copy(deep=False), d.assign(z=1)),
    "isna": lambda d: (d.isna().sum(), d.dropna(), d.fillna({"whole": 0})),
    "csv": lambda d: (d.to_csv(), d.to_dict(), d.to_json()),
    "iterate": lambda d: (list(d.iterrows()), list(d.itertuples()), list(d.items())),
    "apply": lambda d: d[["a", "b"]].apply(sum),
    "memory": lambda d: d.memory_usage(deep=True),
    "equals": lambda d: d.equals(d.copy()),
    "transpose": lambda d: d[["a", "b"]].T,
    "pickle": lambda d: d.__reduce_ex__(2),
    "hash": lambda d: pd.util.hash_pandas_object(d[["a", "b"]]),
}


@pytest.mark.parametrize("name", READS)
def test_reading_a_frame_is_no_change(name: str) -> None:
    frame = _frame()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame["late"] = frame["a"] * 2  # leaves two blocks of one dtype
        before = sample(frame)

        READS[name](frame)

    assert sample(frame) == before


def test_reading_an_index_or_a_group_is_no_change() -> None:
    index, groups = pd.Index([1, 2, 2]), _frame().groupby("a")
    before = [sample(index), sample(groups)]

    index.is_unique, index.get_loc(1), groups.sum(numeric_only=True), groups.groups, groups.ngroups

    assert [sample(index), sample(groups)] == before


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=4096), st.data())
def test_any_changed_byte_of_an_array_of_up_to_4096_bytes_is_seen(
    content: bytes, data: st.DataObject
) -> None:
    value = np.frombuffer(bytearray(content), dtype="u1").copy()
    before = sample(value)

    value[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))

    assert sample(value) != before


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from(["u1", "f8", "c16", "O", "U3", "M8[s]", "i4,f8", "?", ">i2"]),
    st.sampled_from(["C", "F"]),
    st.integers(-3, 3).filter(bool),
)
def test_an_untouched_array_of_any_form_has_equal_samples(
    shape: list[int], dtype: str, order: Any, step: int
) -> None:
    array = np.zeros(shape, dtype=dtype, order=order)
    if shape:
        array = array[::step]

    first = sample(array)

    assert first is not None
    assert sample(array) == first


def test_an_array_can_be_resized_after_it_was_sampled() -> None:
    for value in (np.zeros(10), np.zeros(10**5), np.zeros(10, dtype=object)):
        references = sys.getrefcount(value)
        sample(value)
        assert sys.getrefcount(value) == references
    value = np.zeros(10**5)
    sample(value)
    value.resize(10)  # refused while anything refers to the array or holds its buffer
    assert value.shape == (10,)


def test_frames_are_not_kept_alive() -> None:
    frame = _frame()
    kept = sample(frame)
    gone = weakref.ref(frame)
    del frame
    assert gone() is None
    assert all(type(part) in (int, bool, str) for part in kept or (None,))


def test_the_pages_of_a_mapped_file_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(1 << 16))
    mapped = np.memmap(path, dtype="u1", mode="r")
    arrays = [mapped, np.asarray(mapped), np.asarray(mapped)[100:200], pd.Series(mapped)]
    path.write_bytes(b"")  # reading the elements now would end the process with SIGBUS

    assert [sample(value) == sample(value) for value in arrays] == [True] * 4


def test_code_of_an_arrays_subclass_does_not_run() -> None:
    class Mine(np.ndarray):
        def __array_finalize__(self, _: object) -> None:
            touched.append("finalize")

        def __getattribute__(self, name: str) -> Any:
            touched.append(name)
            return super().__getattribute__(name)

    touched: list[str] = []
    arrays = [np.zeros(3).view(Mine), np.zeros(10**5).view(Mine)]
    touched.clear()
    found = [sample(value) == sample(value) for value in arrays]
    assert found == [True, True]
    assert touched == []


def test_objects_in_arrays_and_frames_are_not_touched() -> None:
    array = np.array([Key(), Key()], dtype=object)
    frame = pd.DataFrame({"a": array})
    with watched() as touched:
        found = [sample(value) == sample(value) for value in (array, frame)]
    assert touched == []
    assert found == [True, True]


def test_sampling_a_frame_fills_no_cache_and_warns_of_nothing() -> None:
    frame = _frame()
    column = frame["a"]
    held: Any = vars(frame)["_mgr"]
    before = [dict(vars(axis)) for axis in held.axes] + [list(vars(frame)), list(vars(column))]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sample(frame)
        sample(column)

    assert [dict(vars(axis)) for axis in held.axes] + [
        list(vars(frame)),
        list(vars(column)),
    ] == before


def test_tensors_show_their_version() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(1000, 1000)
    before = sample(tensor)
    assert sample(tensor) == before
    tensor[500, 500] = 1
    assert sample(tensor) != before


def test_polars_frames_show_their_columns() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1, 2]})
    before = sample(frame)
    assert sample(frame) == before
    frame.insert_column(0, pl.Series("new", [3, 4]))
    assert sample(frame) != before
