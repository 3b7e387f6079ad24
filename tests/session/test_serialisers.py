"""Other packages say how their types are saved; what they get wrong costs one variable."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.session.checkpoints.anchors import Anchors, anchors_of
from flow_kernel.session.checkpoints.loading import load
from flow_kernel.session.checkpoints.saving import Saved, save
from flow_kernel.session.checkpoints.serialisers import GROUP, Serialisers, installed, plugged
from tests.installed import offer
from tests.session.saved_values import loaded

PLUGIN = """
class Grid:
    def __init__(self, cells): self.cells = cells; self.lock = __import__("threading").Lock()
    @classmethod
    def of_cells(cls, cells): return cls(cells)
class Child(Grid): pass
def reduce(value): return type(value).of_cells, (value.cells,)
def broken(value): return value.nothing
def wrong(value): return 5
def leaves(value): return None
"""


@pytest.fixture
def grids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "grids_of_a_test.py").write_text(PLUGIN, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield __import__("grids_of_a_test")
    del sys.modules["grids_of_a_test"]


def saved_with(function: str, **values: object) -> tuple[Saved, Anchors]:
    point = EntryPoint("grids_of_a_test.Grid", f"grids_of_a_test:{function}", GROUP)
    anchors = Anchors(
        anchors_of({}, {}).by_name, serialisers=Serialisers({point.name: plugged(point)})
    )
    return save(values, anchors), anchors


def test_a_plug_in_saves_its_type_and_those_that_come_from_it(grids: Any) -> None:
    shared = [1]
    saved, anchors = saved_with("reduce", grid=grids.Grid(shared), child=grids.Child(shared))
    assert saved.not_saved == []
    after = loaded(saved, anchors, {})
    assert (after["grid"].cells, type(after["child"])) == ([1], grids.Child)
    assert after["grid"].cells is after["child"].cells


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("broken", "grids_of_a_test:broken failed: AttributeError: 'Grid' object has no"),
        ("wrong", "grids_of_a_test:wrong gave no tuple"),
        ("missing", "grids_of_a_test:missing failed: AttributeError: module 'grids_of_a_test'"),
        ("leaves", "a lock belongs to the threads of this process"),
    ],
)
def test_a_plug_in_that_fails_is_named_and_costs_its_variable_only(
    grids: Any, function: str, reason: str
) -> None:
    saved, _ = saved_with(function, grid=grids.Grid([]), other=[1])
    assert [group.names for group in saved.groups] == [("other",)]
    assert [left.name for left in saved.not_saved] == ["grid"]
    assert reason in saved.not_saved[0].reason


def test_plug_ins_are_found_by_what_is_installed(
    grids: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, group=GROUP, name="grids_of_a_test.Grid", value="grids_of_a_test:reduce")
    installed.cache_clear()
    try:
        saved = save({"grid": grids.Grid([2])}, anchors_of({}, {}))
    finally:
        installed.cache_clear()
    assert saved.not_saved == []


def test_the_anchors_are_the_same_whatever_a_cell_has_imported() -> None:
    """Their number is in every byte that is written after them."""
    before = anchors_of({}, {}).names()
    import pandas as pd  # noqa: F401 - what a cell may do

    assert anchors_of({}, {}).names() == before == ["builtins", "namespace"]


def test_an_anchor_that_is_not_here_costs_only_what_refers_to_it() -> None:
    shell = object()
    there = anchors_of({}, {"shell": shell})
    saved = save({"plain": [1], "refers": [shell]}, there)
    plain, refers = saved.groups
    here = anchors_of({}, {})
    assert load(plain.stream, [], here, there.names()) == ([1],)
    with pytest.raises(LookupError, match="shell"):
        load(refers.stream, [], here, there.names())
