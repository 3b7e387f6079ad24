"""What of the files of a project is kept, and that it comes back exactly, with git and without."""

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flow_kernel.errors import StoreError
from flow_kernel.store.files.rules import Budget
from tests.opens import files_opened
from tests.session.file_shapes import LARGE, SHAPES, Make, large, start
from tests.session.projects import Project
from tests.store.git_shapes import git, write
from tests.store.test_git_snapshots import files, git_state

if TYPE_CHECKING:
    from flow_kernel.session.checkpoints.checkpoint import Checkpoint


@pytest.fixture(params=["with git", "without git"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return Project(tmp_path, with_git=request.param == "with git")


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A project without git."""
    return Project(tmp_path, with_git=False)


@pytest.mark.parametrize("name", SHAPES)
def test_files_come_back_whatever_happened_to_them(project: Project, name: str) -> None:
    make: Make
    make, change = SHAPES[name]
    make(project.top)
    at_first = files(project.top)
    one = project.take()

    change(project.top)
    later = files(project.top)
    two = project.take()
    told = project.files.difference(one, two)
    assert project.files.difference(one, None) == told

    assert project.back(one) == told.reversed()
    assert files(project.top) == at_first
    project.back(two)
    assert files(project.top) == later
    assert project.files.difference(two, None).is_empty
    assert list(project.top.rglob("*.flow-draft")) == []


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 8))]
)
def test_any_walk_through_checkpoints_gives_the_files_of_each(project: Project, seed: int) -> None:
    dice = random.Random(seed)
    taken: list[tuple[Checkpoint, dict[str, tuple[int, bytes]]]] = []
    for _ in range(12):
        for _ in range(dice.randrange(4)):
            happen(project.top, dice)
        if taken and dice.random() < 0.4:
            target, expected = dice.choice(taken)
            project.back(target)
            assert files(project.top) == expected
        else:
            taken.append((project.take(), files(project.top)))


def happen(top: Path, dice: random.Random) -> None:
    """A file, a link or a large file comes to a place, whatever was there; or it goes."""
    where = top.joinpath(*(dice.choice("ab") for _ in range(dice.randrange(1, 4))))
    for path in [*reversed(where.parents), where]:
        if path.is_relative_to(top) and path != top and (path.is_symlink() or path.is_file()):
            path.unlink()
    if where.is_dir():
        shutil.rmtree(where)
    kind = dice.randrange(8)
    if kind == 0:
        return
    where.parent.mkdir(parents=True, exist_ok=True)
    if kind == 1:
        where.symlink_to(dice.choice(["a", "../b", "nowhere"]))
    else:
        write(
            where, large(dice.randrange(99)) if kind == 2 else dice.randbytes(dice.choice([0, 9]))
        )
        where.chmod(dice.choice([0o644, 0o755]))


def test_large_files_are_not_in_the_users_repository(tmp_path: Path) -> None:
    project = Project(tmp_path, with_git=True)
    start(project.top)
    users = git_state(project.top)
    taken = project.take()
    assert taken.git is not None
    assert taken.files is not None
    assert (taken.files["count"], taken.files["nbytes"]) == (1, LARGE)
    listed = git(project.top, "ls-tree", "-r", "--name-only", taken.git["commit"])
    assert listed.split() == ["a.txt", "b.txt", "d/deep/y", "d/x", "link"]
    write(project.top / "data/big.bin", large(2))
    project.back(taken)
    assert git_state(project.top) == users


def test_a_large_file_that_is_ignored_is_left_alone(tmp_path: Path) -> None:
    project = Project(tmp_path, with_git=True)
    write(project.top / ".gitignore", "data/\n")
    start(project.top)
    taken = project.take()
    assert taken.files is None
    write(project.top / "data/big.bin", large(2))
    project.back(taken)
    assert (project.top / "data/big.bin").read_bytes() == large(2)


@pytest.mark.parametrize("session", ["the same", "a new one"])
def test_a_file_that_did_not_change_is_not_read_again(
    bare: Project, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the file system cannot be moved, so ours is."""
    start(bare.top)
    monkeypatch.setattr("flow_kernel.store.files.capture._SETTLED_NS", -3_600_000_000_000)
    one = bare.take()
    if session == "a new one":
        bare.newest = one.files
        bare.files = bare.opened()
    write(bare.top / "b.txt", "changed\n")
    with files_opened() as read:
        two = bare.take()
    assert [path for path in read if path.startswith(str(bare.top))] == [str(bare.top / "b.txt")]
    assert bare.files.difference(one, two).changed == ["b.txt"]


def test_an_edit_in_the_moment_of_a_checkpoint_is_seen_by_the_next(bare: Project) -> None:
    path = bare.top / "a.txt"
    taken = []
    for turn in range(30):
        path.write_bytes(b"%02d\n" % turn)
        taken.append((path.read_bytes(), bare.take()))
    for content, one in taken:
        bare.back(one)
        assert path.read_bytes() == content


def test_memory_that_is_written_to_is_read_at_each_checkpoint(
    bare: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a write leaves the times of the file as they are, so its age is of no help."""
    path = bare.top / "mapped"
    path.write_bytes(bytes(1000))
    mapped = np.memmap(path, dtype="u1", mode="r+")
    monkeypatch.setattr("flow_kernel.store.files.capture._SETTLED_NS", -3_600_000_000_000)
    one = bare.take()
    mapped[0] = 7
    two = bare.take()
    mapped[0] = 8
    assert bare.files.difference(one, two).changed == ["mapped"]
    assert bare.files.difference(two, None).changed == ["mapped"]
    del mapped


def test_a_file_that_is_being_written_is_kept_as_far_as_it_is(bare: Project) -> None:
    path = bare.top / "a.log"
    with path.open("wb", buffering=0) as file:
        file.write(b"begun")
        taken = bare.take()
        file.write(b", ended")
    bare.back(taken)
    assert path.read_bytes() == b"begun"


def test_one_edit_of_a_large_file_costs_a_chunk(bare: Project) -> None:
    start(bare.top)
    bare.take()
    before = sum(path.stat().st_size for path in bare.segments.glob("*.seg"))
    with (bare.top / "data/big.bin").open("r+b") as file:
        file.write(b"edited")
    bare.take()
    after = sum(path.stat().st_size for path in bare.segments.glob("*.seg"))
    assert after - before < 300_000


def test_what_is_beyond_the_budget_is_named_and_left_alone(project: Project) -> None:
    project.budgets = {
        "large": Budget(nbytes=LARGE, files=10),
        "all_files": Budget(nbytes=LARGE + 1000, files=10),
    }
    start(project.top)
    one = project.take()
    write(project.top / "huge", large(2, LARGE + 5))
    two = project.take()
    assert two.files is not None
    [left] = two.files["left_out"]
    assert (left["path"], left["size"]) == ("huge", LARGE + 5)
    assert "beyond the 10 files and 6.3 MB" in left["reason"]
    write(project.top / "a.txt", "changed\n")
    write(project.top / "huge", large(3, LARGE + 6))
    project.back(two)
    assert (project.top / "a.txt").read_text() == "one\n"
    assert (project.top / "huge").read_bytes() == large(3, LARGE + 6)
    project.back(one)
    assert (project.top / "huge").exists()


def test_a_file_beyond_the_budget_that_is_as_it_was_is_in_nobodys_way(bare: Project) -> None:
    bare.budgets = {"all_files": Budget(nbytes=1000, files=10)}
    write(bare.top / "a", b"a" * 900)
    one = bare.take()
    write(bare.top / "b", b"b" * 500)
    write(bare.top / "c", "c\n")
    assert bare.back(one).removed == ["b", "c"]
    write(bare.top / "b", b"b" * 500)
    write(bare.top / "a", b"A" * 900)
    bare.take()
    before = files(bare.top)
    with pytest.raises(StoreError, match="a is in the way"):
        bare.files.restore(one, must=True, dry_run=False)
    assert files(bare.top) == before


def test_too_many_files_are_not_captured_at_all(bare: Project) -> None:
    bare.budgets = {"all_files": Budget(nbytes=1000, files=10, looked=20)}
    for n in range(30):
        write(bare.top / f"f{n}", "x")
    taken = bare.take()
    assert (taken.git, taken.files) == (None, None)
    assert "too many files" in taken.files_reason


def test_tools_directories_nested_repositories_and_special_files_are_left_out(
    bare: Project,
) -> None:
    left_alone = ["node_modules/m.js", ".venv/lib/x.py", "env/pyvenv.cfg", "env/bin/x",
                  "__pycache__/x.pyc", ".mypy_cache/x", ".ipynb_checkpoints/x", ".flow/x",
                  "some/CACHEDIR.TAG", "some/cached", ".git/HEAD"]  # fmt: skip
    for path in [*left_alone, "vendor/.git/HEAD", "vendor/file", "src/kept.py", ".env"]:
        write(bare.top / path, path)
    os.mkfifo(bare.top / "pipe")
    taken = bare.take()
    assert taken.files is not None
    assert {(one["path"], one["reason"]) for one in taken.files["left_out"]} == {
        ("vendor/", "nested repository"),
        ("pipe", "special file"),
    }
    assert taken.files["count"] == 2
    for path in [*left_alone, "vendor/file", "src/kept.py", ".env"]:
        write(bare.top / path, "changed")
    assert bare.back(taken).changed == [".env", "src/kept.py"]


def test_links_are_not_followed(bare: Project) -> None:
    write(bare.where / "outside/file", "outside\n")
    (bare.top / "out").symlink_to(bare.where / "outside")
    taken = bare.take()
    assert taken.files is not None
    assert taken.files["count"] == 1
    write(bare.where / "outside/file", "changed\n")
    (bare.top / "out").unlink()
    bare.back(taken)
    assert (bare.where / "outside/file").read_text() == "changed\n"
