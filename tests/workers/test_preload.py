"""What workers had to import, kept for each environment."""

import os
import stat
import sys
from pathlib import Path

import pytest

from flow_kernel.workers import preload


def test_what_was_learned_is_read_again(tmp_path: Path) -> None:
    path = preload.path_in(tmp_path / "preload")
    assert preload.read(path) == []
    preload.write(path, ["json", "zmq"])
    assert preload.read(path) == ["json", "zmq"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    preload.forget(path)
    assert preload.read(path) == []


def test_another_environment_learns_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = preload.path_in(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert preload.path_in(tmp_path) != before


def test_a_new_file_in_the_working_directory_makes_no_other_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    before = preload.path_in(tmp_path)
    (tmp_path / "new.py").touch()
    os.utime(tmp_path, (1, 1))
    assert preload.path_in(tmp_path) == before


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1, null]", b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_nothing(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(damage)
    assert preload.read(path) == []


def test_files_of_environments_long_gone_make_room(tmp_path: Path) -> None:
    for number in range(20):
        preload.write(tmp_path / f"{number:02}.json", ["json"])
    assert len(list(tmp_path.iterdir())) == 8


def test_a_disk_that_refuses_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    preload.write(tmp_path / "file" / "x.json", ["json"])
