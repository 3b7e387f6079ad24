"""Files come back exactly, and the user's own git is as it was."""

import hashlib
import os
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.store.git.command import Git
from flow_kernel.store.git.find import find
from flow_kernel.store.git.snapshots import GitSnapshots
from tests.store import git_repositories, git_settings
from tests.store.git_shapes import SHAPES, Shape, clean, git, ignored, new, write
from tests.workers.trees import until


def snapshots(top: Path, where: Path, **options: float) -> GitSnapshots:
    found = find(top, env=os.environ, user_home=Path.home())
    return GitSnapshots(found, where / "private", owner="s", **options)


def files(top: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and link of a working tree with its kind and content; nothing of git's."""
    found: dict[str, tuple[int, bytes]] = {}
    root = os.fsencode(top)
    for folder, names, leaves in os.walk(root):
        names[:] = [name for name in names if name != b".git"]
        for name in [*leaves, *(n for n in names if os.path.islink(os.path.join(folder, n)))]:
            path = os.path.join(folder, name)
            if name == b".git":
                continue
            mode = os.lstat(path).st_mode
            content = (
                os.readlink(path) if stat.S_ISLNK(mode) else Path(os.fsdecode(path)).read_bytes()
            )
            found[os.fsdecode(os.path.relpath(path, root))] = (mode, content)
    return found


def git_state(top: Path) -> dict[str, str]:
    """What belongs to the user: index, HEAD, branches, stash, config, hooks, merge state."""
    said = git(top, "rev-parse", "--absolute-git-dir", "--git-common-dir")
    git_dir, common = (Path(top, line) for line in said.splitlines())
    found = {"for-each-ref": git(top, "for-each-ref", "refs/heads", "refs/tags", "refs/stash",
                                 "refs/remotes")}  # fmt: skip
    for base in {git_dir.resolve(), common.resolve()}:
        for path in sorted(base.rglob("*")):
            inside = path.relative_to(base).parts
            if inside[0] in ("objects", "refs") and inside[:2] != ("refs", "heads"):
                continue
            if path.is_file():
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


for more in (git_repositories, git_settings):
    assert more  # it adds its shapes


@pytest.fixture(params=[pytest.param(make, id=name) for name, make in SHAPES.items()])
def top(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    make: Shape = request.param
    return make(tmp_path)


def test_files_come_back_to_one_tree_and_the_users_git_never_notices(
    top: Path, tmp_path: Path
) -> None:
    users = git_state(top)
    taken = snapshots(top, tmp_path)
    at_first = files(top)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    # Equal files have one tree, whoever looks.
    fresh = snapshots(top, tmp_path / "other")
    assert taken.take("again", ref="refs/mcp/s/1-again").tree == one.tree
    assert fresh.take("fresh", ref="refs/mcp/s/1-fresh").tree == one.tree
    assert git_state(top) == users

    write(top / "new/one.txt", "made later\n")
    write(top / "b.txt", "changed later\n")
    (top / "a.txt").unlink() if (top / "a.txt").is_file() else write(top / "c.txt", "c\n")
    later = files(top)
    two = taken.take("two", ref="refs/mcp/s/2-two", parent=one.commit)
    assert git_state(top) == users

    dry = taken.current_changes(one.commit)
    assert taken.restore(one.commit) == dry == taken.changes(two.commit, one.commit)
    assert files(top) == at_first
    assert git_state(top) == users

    assert not taken.restore(two.commit).is_empty
    assert files(top) == later
    assert taken.restore(two.commit).is_empty
    assert git_state(top) == users
    assert not (tmp_path / "hook-ran").exists()


def test_what_the_user_adds_between_two_snapshots_is_followed(tmp_path: Path) -> None:
    top = ignored(tmp_path)
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    git(top, "add", "-f", "x.log")
    two = taken.take("two", ref="refs/mcp/s/2-two")
    assert taken.changes(one.commit, two.commit).added == ["x.log"]


def test_a_file_that_was_only_touched_can_go_back(tmp_path: Path) -> None:
    top = clean(tmp_path)
    ours = snapshots(top, tmp_path)
    write(top / "a.txt", "one")
    first = ours.take("first", ref="refs/mcp/s/1-a")
    write(top / "a.txt", "two!")
    ours.take("second", ref="refs/mcp/s/2-b")
    os.utime(top / "a.txt", (1, 1))

    assert ours.restore(first.commit).changed == ["a.txt"]
    assert (top / "a.txt").read_bytes() == b"one"


def test_a_session_goes_on_with_what_the_one_before_knew(tmp_path: Path) -> None:
    top = new(tmp_path)
    before = snapshots(top, tmp_path)
    one = before.take("one", ref="refs/mcp/s/1-one")
    before.close()
    assert (tmp_path / "private/index").exists()
    assert not (tmp_path / "private/index.s").exists()
    after = snapshots(top, tmp_path)
    assert after.take("two", ref="refs/mcp/s/2-two").tree == one.tree
    after.close()
    assert sorted(path.name for path in (tmp_path / "private").glob("index*")) == ["index"]


@pytest.mark.parametrize("whose", ["the session before", "the user"])
def test_what_changes_in_the_second_of_the_index_that_is_taken_over_is_seen(
    tmp_path: Path, whose: str
) -> None:
    until(lambda: time.time() % 1 < 0.3)  # all up to the change is in one second
    top = new(tmp_path)
    if whose == "the session before":
        before = snapshots(top, tmp_path)
        before.take("one", ref="refs/mcp/s/1-one")
        before.close()
    write(top / "a.txt", "ONE\n")
    now_s = int(time.time())
    until(lambda: time.time() > now_s + 1)
    two = snapshots(top, tmp_path).take("two", ref="refs/mcp/s/2-two")
    assert git(top, "show", f"{two.commit}:a.txt") == "ONE\n"


def test_large_unreadable_nested_and_special_files_are_named_and_stay(tmp_path: Path) -> None:
    top = new(tmp_path)
    write(top / "big.bin", bytes(6 * 1024 * 1024))
    os.mkfifo(top / "pipe")
    (top / "vendor").mkdir()
    new(top / "vendor")
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    assert {(left.path, left.reason) for left in one.left_out} == {
        ("big.bin", "large"),
        ("vendor/project/", "nested repository"),
    }
    (top / "a.txt").unlink()
    taken.restore(one.commit)
    assert (top / "a.txt").exists()
    assert (top / "big.bin").stat().st_size == 6 * 1024 * 1024
    assert (top / "vendor/project/a.txt").exists()
    assert stat.S_ISFIFO((top / "pipe").stat().st_mode)


def test_a_tracked_file_that_grew_large_is_named_and_not_overwritten(tmp_path: Path) -> None:
    top = new(tmp_path)
    taken = snapshots(top, tmp_path)
    taken.take("small", ref="refs/mcp/s/1-small")
    write(top / "a.txt", bytes(6 * 1024 * 1024))
    grown = taken.take("grown", ref="refs/mcp/s/2-grown")
    assert [(left.path, left.reason) for left in grown.left_out] == [("a.txt", "large")]
    write(top / "b.txt", "changed\n")
    taken.restore(grown.commit)
    assert (top / "a.txt").stat().st_size == 6 * 1024 * 1024
    assert (top / "b.txt").read_text() == "two\n"


def test_a_file_in_the_way_stops_the_way_back_before_it_begins(tmp_path: Path) -> None:
    top = new(tmp_path)
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    (top / "a.txt").unlink()
    write(top / ".gitignore", "a.txt\n")
    git(top, "rm", "-q", "--cached", "a.txt")
    write(top / "a.txt", "ignored now, and precious\n")
    write(top / "b.txt", "changed\n")
    before = files(top)
    with pytest.raises(StoreError, match=r"a\.txt"):
        snapshots(top, tmp_path / "another home").restore(one.commit)
    assert files(top) == before


@pytest.mark.parametrize("kind", ["a directory", "a file above", "a link above"])
def test_ignored_things_of_another_kind_are_in_the_way_too(tmp_path: Path, kind: str) -> None:
    top = new(tmp_path, **{"d/x": "x\n"})
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    git(top, "rm", "-rq", "d" if kind != "a directory" else "a.txt")
    write(top / ".gitignore", "d\na.txt\n")
    if kind == "a directory":
        write(top / "a.txt/precious", "here\n")
    elif kind == "a file above":
        write(top / "d", "precious\n")
    else:
        (top / "d").symlink_to("nowhere")
    before = files(top)
    with pytest.raises(StoreError, match="in the way"):
        snapshots(top, tmp_path / "another home").restore(one.commit)
    assert files(top) == before


def test_a_ref_or_tag_that_points_elsewhere_is_not_moved(tmp_path: Path) -> None:
    top = clean(tmp_path)
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    taken.tag("mcp/s/one", one.commit)
    taken.tag("mcp/s/one", one.commit)
    write(top / "a.txt", "changed\n")
    with pytest.raises(StoreError, match="points elsewhere"):
        taken.take("again", ref="refs/mcp/s/1-one")
    two = taken.take("two", ref="refs/mcp/s/2-two")
    with pytest.raises(StoreError, match="points elsewhere"):
        taken.tag("mcp/s/one", two.commit)
    assert git(top, "rev-parse", "mcp/s/one").strip() == one.commit


def test_a_forgotten_snapshot_is_gone_after_gc_and_the_others_stay(tmp_path: Path) -> None:
    top = clean(tmp_path)
    taken = snapshots(top, tmp_path)
    write(top / "a.txt", "only in one\n")
    one = taken.take("one", ref="refs/mcp/s/1-one")
    write(top / "a.txt", "only in two\n")
    two = taken.take("two", ref="refs/mcp/s/2-two")
    taken.forget(one.ref, one.commit)
    taken.forget(one.ref, one.commit)
    git(top, "gc", "-q", "--prune=now")
    assert not taken.has(one.commit)
    assert taken.has(two.commit)


def test_a_git_that_does_not_end_is_killed_and_nothing_is_changed(tmp_path: Path) -> None:
    top = new(tmp_path)
    users = git_state(top)
    script = tmp_path / "bin/git"
    write(
        script,
        f'#!/bin/sh\ncase "$*" in *write-tree*) echo $$ > {tmp_path}/pid; exec sleep 600;; esac\n'
        f'exec "{shutil.which("git")}" "$@"\n',
    )
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    found = find(top, env=dict(os.environ) | {"PATH": path}, user_home=Path.home())
    with pytest.raises(StoreError, match="not done in time"):
        GitSnapshots(found, tmp_path / "private", owner="s", timeout_s=1.0).take(
            "one", ref="refs/mcp/s/1-one"
        )
    assert git_state(top) == users
    assert git(top, "for-each-ref", "refs/mcp") == ""
    pid = (tmp_path / "pid").read_text().strip()
    assert not Path(f"/proc/{pid}").exists()


def test_a_way_back_that_fails_half_way_is_undone(tmp_path: Path) -> None:
    top = new(tmp_path)
    before = snapshots(top, tmp_path)
    one = before.take("one", ref="refs/mcp/s/1-one")
    write(top / "a.txt", "changed\n")
    write(top / "later.txt", "later\n")
    (top / "b.txt").unlink()
    before.close()
    at_first, users = files(top), git_state(top)
    script = tmp_path / "bin/git"
    write(
        script,
        f'#!/bin/sh\n"{shutil.which("git")}" "$@" || exit\n'
        f'case "$*" in *read-tree*{one.commit}) echo later >> a.txt; echo "fatal: full" >&2;'
        " exit 128;; esac\n",
    )
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    found = find(top, env=dict(os.environ) | {"PATH": path}, user_home=Path.home())
    taken = GitSnapshots(found, tmp_path / "private", owner="s")
    with pytest.raises(StoreError, match="fatal: full"):
        taken.restore(one.commit)
    assert files(top) == at_first
    assert git_state(top) == users


def test_drafts_of_a_way_back_that_was_killed_are_not_captured(tmp_path: Path) -> None:
    top = new(tmp_path)
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    write(top / ".0a1b2c3d.flow-draft/1", "left behind\n")
    assert taken.take("two", ref="refs/mcp/s/2-two").tree == one.tree


def test_filters_of_the_user_are_not_run(tmp_path: Path) -> None:
    top = new(tmp_path, **{".gitattributes": "*.x filter=ran\n"})
    git(top, "config", "filter.ran.clean", f"touch {tmp_path}/ran; cat")
    git(top, "config", "filter.ran.smudge", f"touch {tmp_path}/ran; cat")
    write(top / "new.x", "x\n")
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    (top / "new.x").unlink()
    taken.restore(one.commit)
    assert (top / "new.x").read_text() == "x\n"
    assert not (tmp_path / "ran").exists()


def test_a_damaged_private_index_is_made_anew(tmp_path: Path) -> None:
    top = clean(tmp_path)
    taken = snapshots(top, tmp_path)
    one = taken.take("one", ref="refs/mcp/s/1-one")
    (tmp_path / "private/index.s").write_bytes(b"DIRC" + bytes(100))
    (tmp_path / "private/index.s.lock").write_bytes(b"")
    with pytest.raises(StoreError):
        taken.take("two", ref="refs/mcp/s/2-two")
    assert taken.take("three", ref="refs/mcp/s/3-three").tree == one.tree


@pytest.mark.parametrize("kind", ["bare", "none", "home", "no git"])
def test_where_files_cannot_be_captured_one_sentence_says_why(tmp_path: Path, kind: str) -> None:
    top = tmp_path / "project"
    top.mkdir()
    env = dict(os.environ) | {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    home = Path.home()
    if kind == "bare":
        subprocess.run(["git", "init", "-q", "--bare"], cwd=top, check=True)
    elif kind == "home":
        subprocess.run(["git", "init", "-q"], cwd=top, check=True)
        home = top / "user"
    elif kind == "no git":
        env["PATH"] = str(tmp_path)
    with pytest.raises(StoreError, match=r"git|repository") as caught:
        find(top, env=env, user_home=home)
    assert "\n" not in str(caught.value)


def test_the_environment_of_a_hook_is_not_handed_on(tmp_path: Path) -> None:
    top = clean(tmp_path)
    index = tmp_path / "foreign"
    found = Git(top=top, env=dict(os.environ) | {"GIT_INDEX_FILE": str(index)})
    GitSnapshots(found, tmp_path / "private", owner="s").take("one", ref="refs/mcp/s/1-one")
    assert not index.exists()
