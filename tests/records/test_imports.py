"""New modules are found at the end of `sys.modules`, or by name when it was disturbed."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flow_kernel.records.imports import ImportWatch, versions


@pytest.fixture
def fresh_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    names = [f"flow_test_module_{i}" for i in range(3)]
    for name in names:
        (tmp_path / f"{name}.py").write_text("__version__ = '1.2'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield names
    for name in names:
        sys.modules.pop(name, None)


def test_only_modules_imported_after_the_mark_are_new(fresh_modules: list[str]) -> None:
    watch = ImportWatch()
    mark = watch.mark()
    assert watch.added_since(mark) == []
    for name in fresh_modules:
        importlib.import_module(name)
    assert watch.added_since(mark) == fresh_modules
    assert watch.added_since(watch.mark()) == []


def test_a_removed_boundary_does_not_hide_new_modules(fresh_modules: list[str]) -> None:
    first, second, third = fresh_modules
    importlib.import_module(first)
    watch = ImportWatch()
    mark = watch.mark()
    del sys.modules[first]
    importlib.import_module(second)
    importlib.import_module(third)
    assert watch.added_since(mark) == [second, third]


def test_a_module_that_is_imported_again_after_its_removal_is_new(fresh_modules: list[str]) -> None:
    first = fresh_modules[0]
    watch = ImportWatch()
    importlib.import_module(first)
    assert watch.added_since(watch.mark()) == []
    del sys.modules[first]
    mark = watch.mark()
    importlib.import_module(first)
    assert watch.added_since(mark) == [first]


def test_keys_that_are_no_text_do_not_disturb() -> None:
    watch = ImportWatch()
    mark = watch.mark()
    key: object = 5
    sys.modules[key] = ModuleType("five")  # type: ignore[index]
    try:
        assert watch.added_since(mark) == []
    finally:
        del sys.modules[key]  # type: ignore[arg-type]


def test_versions_are_those_of_the_top_level_packages(fresh_modules: list[str]) -> None:
    importlib.import_module(fresh_modules[0])
    importlib.import_module("json")
    found = versions([fresh_modules[0], "json.decoder", "no_such_module.x"])
    assert found == {fresh_modules[0]: "1.2", "json": "2.0.9", "no_such_module": None}
