"""What stands in the way of files that shall come back: then nothing is changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from flow_kernel.errors import CheckpointDamaged, StoreError
from flow_kernel.store.files.entries import Kept, Part, Stamp
from flow_kernel.store.files.table import damaged, needed_in, write_table
from flow_kernel.store.snapshots.collect import collect
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter
from tests.session.file_shapes import large, start
from tests.session.projects import Project
from tests.store.git_shapes import git, write
from tests.store.test_git_snapshots import files, git_state


@pytest.fixture(params=["with git", "without git"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    return Project(tmp_path, with_git=request.param == "with git")


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """A project without git."""
    return Project(tmp_path, with_git=False)


@pytest.mark.parametrize("kind", ["home", "above home", "bare"])
def test_where_no_files_are_captured_it_is_said_why(tmp_path: Path, kind: str) -> None:
    project = Project(tmp_path, with_git=False)
    if kind == "bare":
        git(project.top, "init", "-q", "--bare")
    else:
        home = project.top if kind == "home" else project.top / "users/me"
        project.files = project.opened(user_home=home)
    taken = project.take()
    assert (taken.git, taken.files) == (None, None)
    expected = "bare git repository" if kind == "bare" else "files are not captured"
    assert expected in taken.files_reason
    with pytest.raises(StoreError, match="holds no files"):
        project.files.restore(taken, must=True, dry_run=False)


def test_a_project_that_moved_keeps_its_checkpoints_and_another_one_refuses_them(
    bare: Project,
) -> None:
    start(bare.top)
    taken = bare.take()
    other = Project(bare.where, with_git=False, name="other")
    other.take()
    with pytest.raises(StoreError, match="works elsewhere"):
        other.files.restore(taken, must=True, dry_run=False)
    moved = bare.where.with_name(f"{bare.where.name}-moved")
    bare.where.rename(moved)
    again = Project(moved, with_git=False)
    write(again.top / "a.txt", "changed\n")
    assert again.back(taken).changed == ["a.txt"]


def test_a_project_that_git_came_to_goes_back_to_before(bare: Project) -> None:
    start(bare.top)
    taken = bare.take()
    git(bare.top, "init", "-q")
    write(bare.top / "a.txt", "changed\n")
    write(bare.top / "later.txt", "later\n")
    write(bare.top / "b.txt", "precious\n")
    write(bare.top / ".gitignore", "b.txt\n")
    bare.take()
    with pytest.raises(StoreError, match=r"b\.txt is in the way"):
        bare.files.restore(taken, must=True, dry_run=False)
    (bare.top / ".gitignore").unlink()
    safety = bare.take()
    later = files(bare.top)
    bare.files.restore(taken, must=True, dry_run=False)
    assert not (bare.top / "later.txt").exists()
    assert (bare.top / "b.txt").read_text() == "two\n"
    bare.files.restore(safety, must=True, dry_run=False)
    assert files(bare.top) == later


def test_a_file_in_no_snapshot_is_in_the_way(tmp_path: Path) -> None:
    project = Project(tmp_path, with_git=True)
    start(project.top)
    taken = project.take()
    (project.top / "a.txt").unlink()
    write(project.top / ".gitignore", "data\n")
    write(project.top / "data/big.bin", "ignored now, and precious\n")
    project.take()
    before = files(project.top)
    with pytest.raises(StoreError, match=r"data/big\.bin is in the way"):
        project.files.restore(taken, must=True, dry_run=False)
    assert files(project.top) == before


def test_without_the_program_git_files_are_kept_and_gits_own_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path, with_git=True)
    start(project.top)
    users = git_state(project.top)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        project.files = project.opened()
        taken = project.take()
        assert (taken.git, taken.files is not None) == (None, True)
        write(project.top / "a.txt", "changed\n")
        write(project.top / "data/big.bin", large(2))
        assert project.back(taken).changed == ["a.txt", "data/big.bin"]
    assert git_state(project.top) == users


@pytest.mark.parametrize("what", ["flipped", "lost"])
def test_a_damaged_chunk_changes_nothing(project: Project, what: str) -> None:
    start(project.top)
    one = project.take()
    for path in project.segments.glob("*.seg"):
        path.rename(path.with_name(f"one-{path.name}"))
    for path in ("a.txt", "data/big.bin"):
        write(project.top / path, large(2))
    (project.top / "d/x").unlink()
    project.take()
    [segment] = project.segments.glob("one-*")
    data = bytearray(segment.read_bytes())
    if what == "flipped":
        data[len(data) // 2] ^= 1
        segment.write_bytes(data)
    else:
        segment.unlink()
    chunks = Chunks(project.segments)
    chunks.refresh()
    assert list(damaged(one.files, chunks.read))
    before = files(project.top)
    with pytest.raises(CheckpointDamaged, match="nothing was changed"):
        project.files.restore(one, must=True, dry_run=False)
    assert files(project.top) == before


def test_collecting_keeps_what_a_manifest_needs(project: Project) -> None:
    start(project.top)
    one = project.take()
    write(project.top / "data/big.bin", large(2))
    two = project.take()
    chunks = Chunks(project.segments)
    chunks.refresh()
    assert two.files is not None
    live = {digest for chunk in two.files["table"] for digest in needed_in(chunk, chunks)}
    assert collect(project.segments, lambda: frozenset(live), worth=1.1) > 0
    chunks = Chunks(project.segments)
    chunks.refresh()
    assert list(damaged(two.files, chunks.read)) == []
    assert list(damaged(one.files, chunks.read))
    write(project.top / "data/big.bin", large(3))
    project.back(two)
    assert (project.top / "data/big.bin").read_bytes() == large(2)


def test_what_was_given_up_is_written_again(project: Project) -> None:
    start(project.top)
    project.files.begin("c", number=9, tag=False, parent=None).take()
    for path in project.segments.glob("*.seg"):
        path.unlink()
    taken = project.take()
    chunks = Chunks(project.segments)
    chunks.refresh()
    assert list(damaged(taken.files, chunks.read)) == []


@pytest.mark.parametrize(
    "path",
    ["../out", "/etc/x", ".git/hooks/pre-commit", "d/../../out", ".FLOW/flow.db", "a//b", ""],
)
def test_a_foreign_manifest_cannot_write_outside(bare: Project, path: str) -> None:
    start(bare.top)
    taken = bare.take()
    assert taken.files is not None
    chunks = Chunks(bare.segments)
    writer = ChunkWriter(bare.segments, chunks, owner="evil")
    part = Part(nbytes=4, chunks=(writer.put(b"evil").hex(),))
    row = Kept(path=path, mode=0o755, part=part, stamp=Stamp(0, 4, 0, 0))
    table, tree = write_table([row], writer)
    writer.sync()
    writer.close()
    forged = replace(taken, files={**taken.files, "table": table, "tree": tree})
    before = files(bare.where)
    with pytest.raises(CheckpointDamaged, match="may not be written"):
        bare.files.restore(forged, must=True, dry_run=False)
    assert files(bare.where) == before


def test_a_tag_of_a_checkpoint_that_was_given_up_is_taken_back(tmp_path: Path) -> None:
    project = Project(tmp_path, with_git=True)
    start(project.top)
    for number in (1, 2):
        taken = project.files.begin("c", number=number, tag=True, parent=None)
        taken.take()
        assert git(project.top, "tag") == "mcp/aaaaaaaa/c\n"
        taken.forget()
        assert git(project.top, "for-each-ref") == ""
