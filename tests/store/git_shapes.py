"""Working trees of all kinds, for the tests of the snapshots of files.

Each shape is a function that makes a repository below a directory and returns its top. `SHAPES`
holds them all.
"""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

Shape = Callable[[Path], Path]
SHAPES: Final[dict[str, Shape]] = {}


def shape(make: Shape) -> Shape:
    SHAPES[make.__name__.replace("_", " ")] = make
    return make


def git(top: Path, *arguments: str, ok: bool = True) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    done = subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@b", "-c", "protocol.file.allow=always",
         *arguments],
        cwd=top, env=env, check=ok, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def new(where: Path, **files: str) -> Path:
    """A repository with these files in one commit."""
    top = where / "project"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    for name, text in ({"a.txt": "one\n", "b.txt": "two\n"} | files).items():
        write(top / name, text)
    git(top, "add", "-A")
    git(top, "commit", "-qm", "first")
    return top


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


@shape
def clean(where: Path) -> Path:
    return new(where)


@shape
def modified(where: Path) -> Path:
    top = new(where)
    write(top / "a.txt", "changed\n")
    return top


@shape
def staged_and_changed_again(where: Path) -> Path:
    top = new(where)
    write(top / "a.txt", "staged\n")
    git(top, "add", "a.txt")
    write(top / "a.txt", "changed since\n")
    return top


@shape
def staged_new_file(where: Path) -> Path:
    top = new(where)
    write(top / "new.txt", "new\n")
    git(top, "add", "new.txt")
    return top


@shape
def staged_then_deleted(where: Path) -> Path:
    top = staged_new_file(where)
    (top / "new.txt").unlink()
    return top


@shape
def removed_from_the_index_only(where: Path) -> Path:
    top = new(where)
    git(top, "rm", "-q", "--cached", "a.txt")
    return top


@shape
def deleted(where: Path) -> Path:
    top = new(where)
    (top / "a.txt").unlink()
    return top


@shape
def renamed(where: Path) -> Path:
    top = new(where)
    git(top, "mv", "a.txt", "c.txt")
    return top


@shape
def untracked(where: Path) -> Path:
    top = new(where)
    write(top / "deep/er/new.txt", "new\n")
    return top


@shape
def ignored(where: Path) -> Path:
    top = new(where, **{".gitignore": "*.log\nbuild/\n"})
    write(top / "x.log", "kept\n")
    write(top / "build/out", "kept\n")
    return top


@shape
def tracked_although_ignored(where: Path) -> Path:
    top = ignored(where)
    git(top, "add", "-f", "x.log")
    git(top, "commit", "-qm", "forced")
    write(top / "x.log", "changed\n")
    return top


@shape
def ignored_by_info_exclude(where: Path) -> Path:
    top = new(where)
    write(top / ".git/info/exclude", "secret*\n")
    write(top / "secret.txt", "kept\n")
    return top


@shape
def intent_to_add(where: Path) -> Path:
    top = new(where)
    write(top / "later.txt", "later\n")
    git(top, "add", "-N", "later.txt")
    return top


@shape
def assume_unchanged(where: Path) -> Path:
    top = new(where)
    git(top, "update-index", "--assume-unchanged", "a.txt")
    return top


@shape
def skip_worktree(where: Path) -> Path:
    top = new(where)
    git(top, "update-index", "--skip-worktree", "a.txt")
    return top


@shape
def unborn_head(where: Path) -> Path:
    top = where / "project"
    top.mkdir()
    git(top, "init", "-q")
    write(top / "a.txt", "one\n")
    return top


@shape
def unborn_and_empty(where: Path) -> Path:
    top = where / "project"
    top.mkdir()
    git(top, "init", "-q")
    return top


@shape
def detached_head(where: Path) -> Path:
    top = new(where)
    git(top, "checkout", "-q", "--detach")
    return top


def two_branches(where: Path) -> Path:
    """`main`, which is checked out, and `other` have both changed one line of a file."""
    top = new(where)
    git(top, "checkout", "-qb", "other")
    write(top / "a.txt", "theirs\n")
    git(top, "commit", "-qam", "theirs")
    git(top, "checkout", "-q", "main")
    write(top / "a.txt", "ours\n")
    git(top, "commit", "-qam", "ours")
    return top


@shape
def merge_in_progress(where: Path) -> Path:
    top = two_branches(where)
    git(top, "merge", "other", ok=False)
    assert (top / ".git/MERGE_HEAD").exists()
    return top


@shape
def merge_where_one_side_deleted(where: Path) -> Path:
    top = new(where)
    git(top, "checkout", "-qb", "other")
    git(top, "rm", "-q", "a.txt")
    git(top, "commit", "-qm", "gone")
    git(top, "checkout", "-q", "main")
    write(top / "a.txt", "ours\n")
    git(top, "commit", "-qam", "ours")
    git(top, "merge", "other", ok=False)
    return top


@shape
def rebase_in_progress(where: Path) -> Path:
    top = merge_in_progress(where)
    git(top, "merge", "--abort")
    git(top, "rebase", "other", ok=False)
    return top


@shape
def with_a_stash(where: Path) -> Path:
    top = new(where)
    write(top / "a.txt", "stashed\n")
    git(top, "stash")
    return top
