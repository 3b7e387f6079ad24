"""What packages offer is found as `importlib.metadata` finds it, wherever they lie."""

import os
import subprocess
import sys
import zipfile
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder, entry_points
from pathlib import Path

import pytest

from flow_kernel.records.plugins import offered
from tests.installed import offer

GROUP = "flow_kernel.test_of_plugins"


def test_each_group_that_is_installed_is_found_whole() -> None:
    groups = sorted(entry_points().groups)
    assert groups
    for group in groups:
        assert set(offered(group)) == set(entry_points(group=group)), group
    assert offered(GROUP) == ()


def test_what_is_installed_in_a_folder_is_found(tmp_path: Path) -> None:
    offer(tmp_path, group=GROUP, name="it", value="a.b:c")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        assert [(each.name, each.value) for each in offered(GROUP)] == [("it", "a.b:c")]


def test_what_lies_in_the_working_directory_is_found(tmp_path: Path) -> None:
    offer(tmp_path, group=GROUP, name="it", value="a.b:c")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setattr(sys, "path", ["", *sys.path])
        assert [each.name for each in offered(GROUP)] == ["it"]


def test_what_lies_in_an_archive_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    offer(folder, group=GROUP, name="it", value="a.b:c")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    # In a process of its own: who has looked into an archive keeps it open.
    code = "import sys; from flow_kernel.records.plugins import offered; "
    code += "sys.path.insert(0, sys.argv[1]); print([each.name for each in offered(sys.argv[2])])"
    argv = [sys.executable, "-c", code, str(tmp_path / "all.zip"), GROUP]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ran.stdout == "['it']\n"


def test_a_finder_of_its_own_is_asked(tmp_path: Path) -> None:
    offer(tmp_path, group=GROUP, name="it", value="a.b:c")

    class Finder(DistributionFinder):
        @classmethod
        def find_distributions(cls, context: object = None) -> object:
            where = DistributionFinder.Context(path=[str(tmp_path)])
            return PathFinder.find_distributions(where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
        assert [each.name for each in offered(GROUP)] == ["it"]


def test_folders_that_are_not_there_or_closed_offer_nothing(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "some.dist-info").symlink_to(tmp_path / "nowhere")
    paths = [os.fspath(tmp_path / "missing"), os.fspath(closed)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*paths, *sys.path])
        assert offered(GROUP) == ()
        assert entry_points(group=GROUP) == ()
