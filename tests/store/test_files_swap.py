"""Files are exchanged all together or not at all, whichever call fails."""

import errno
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flow_kernel.store.files.entries import Kept
from flow_kernel.store.files.leftovers import tidy
from flow_kernel.store.files.swap import Swap
from tests.mounting import NAMESPACE
from tests.source import ROOT
from tests.store.git_shapes import write
from tests.store.swapping import after, before, exchange, taken
from tests.store.test_git_snapshots import files
from tests.store.test_snapshots import fails_at

_CALLS = ("rename", "replace", "link", "mkdir", "rmdir", "symlink", "fsync", "chmod", "unlink")


@pytest.fixture
def wanted(tmp_path: Path) -> dict[str, Kept]:
    (tmp_path / "after").mkdir()
    after(tmp_path / "after")
    return taken(tmp_path / "after", tmp_path / "segments")[1]


@pytest.mark.parametrize("call", _CALLS)
def test_a_disk_that_refuses_at_any_call_leaves_all_as_it_was(
    tmp_path: Path, wanted: dict[str, Kept], call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails at its N-th call cannot be had for real, so the call itself fails."""
    for fail_at in range(1, 40):
        top = tmp_path / f"{call}-{fail_at}"
        top.mkdir()
        before(top)
        chunked, _ = taken(top, tmp_path / "segments")
        at_first = files(top)
        failed = fails_at(monkeypatch, call, fail_at, errno.EIO)
        done = exchange(top, chunked, wanted)
        monkeypatch.undo()
        there = {path: one for path, one in files(top).items() if ".flow-draft/" not in path}
        if done:
            assert there == files(tmp_path / "after")
        else:
            assert there == at_first
            assert stat.S_IMODE((top / "d").stat().st_mode) == 0o750
        # What is thrown away at the end stays where even that is refused.
        assert call in ("unlink", "rmdir") or list(top.rglob("*.flow-draft")) == []
        if not failed():
            assert done
            return
    pytest.fail("never got through")


def test_many_files_come_back_at_once(tmp_path: Path) -> None:
    for n in range(250):
        write(tmp_path / f"after/d{n % 7}/{n}", f"{n}\n" * n)
    _, wanted = taken(tmp_path / "after", tmp_path / "segments")
    top = tmp_path / "top"
    top.mkdir()
    chunked, _ = taken(top, tmp_path / "segments")
    assert exchange(top, chunked, wanted)
    assert files(top) == files(tmp_path / "after")


def program(name: str, top: Path, work: Path, *, before: tuple[str, ...] = ()) -> list[str]:
    return [*before, sys.executable, "-m", "tests.store.swapping", name, str(top), str(work)]


@pytest.mark.parametrize("name", ["full_disk", "another_file_system"])
def test_other_file_systems_change_nothing_of_it(mounts: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "inside/mounted").mkdir(parents=True)
    top = mounts if name == "full_disk" else tmp_path / "inside/mounted"
    work = tmp_path / "work" if name == "another_file_system" else Path(f"{tmp_path}-work")
    work.mkdir()
    mount = f'mount -t tmpfs -o size=2m tmpfs "{top}" && exec "$@"'
    done = subprocess.run(
        program(name, top, work, before=(*NAMESPACE, "sh", "-c", mount, "sh")),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_kill_at_any_moment_loses_no_file_that_a_way_back_does_not_bring(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for make, where in ((before, top), (after, tmp_path / "after")):
        where.mkdir()
        make(where)
    at_first = files(top)
    chunked, one = taken(top, tmp_path / "segments")
    dice = random.Random(7)
    for _ in range(12):
        with subprocess.Popen(
            program("to_and_fro", top, tmp_path), cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(dice.random() / 50)  # the moment of the kill, not a wait
            child.kill()
        chunked.keep(chunked.everything())
        assert exchange(top, chunked, one)
        assert {*tidy(top)} == {*top.glob("*.flow-draft")}
        there = {p: one for p, one in files(top).items() if ".flow-draft/" not in p}
        assert there == at_first


@pytest.mark.parametrize("name", ["staged", "moved"])
def test_of_what_a_kill_leaves_only_copies_are_thrown_away(
    tmp_path: Path, wanted: dict[str, Kept], name: str
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    before(top)
    with subprocess.Popen(program(name, top, tmp_path), cwd=ROOT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        [left] = top.glob("*.flow-draft")
        assert tidy(top) == []  # its owner lives
        assert left.is_dir()
        child.kill()

    assert tidy(top) == ([left] if name == "moved" else [])
    assert left.exists() == (name == "moved")
    if name == "moved":
        there = {one.read_bytes() for one in left.iterdir() if one.is_file()}
        assert {b"gone\n", b"only\n"} <= there


def test_a_file_that_came_about_meanwhile_goes_back_to_its_place(
    tmp_path: Path, wanted: dict[str, Kept]
) -> None:
    top = tmp_path / "top"
    top.mkdir()
    before(top)
    chunked, _ = taken(top, tmp_path / "segments")
    swap = Swap(top)
    swap.stage([wanted["many"]], chunked.read)
    write(top / "many", "precious\n")
    swap.place()
    assert swap.undo()
    swap.close()
    assert (top / "many").read_text() == "precious\n"
