"""Snapshots of a working tree, and the way back.

Called by `session.checkpoints`.

A private index follows the working tree; trees and commits are made from it and held by refs that
no branch, tag, stash or reflog of the user's knows of. The user's index is read, never written.

    working tree ──▶ private index ──write-tree──▶ tree ──▶ commit ──▶ refs/mcp/…
         ▲                                                    │
         └──────────────── read-tree -m -u ◀──────────────────┘   (the way back)

A file that was captured once goes on being captured, also when it is ignored later.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.store.git.command import Git
from flow_kernel.store.git.private import first_index, forget_index, leave_index, private_git
from flow_kernel.store.git.rules import (
    DRAFT_SUFFIX,
    FileChanges,
    LeftOut,
    Work,
    parse_changes,
    sort_out,
)
from flow_kernel.store.git.way import in_the_way

DEADLINE_S: Final = 10.0
_NOTHING: Final = "; nothing was changed"
_NOTHING_THERE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSnapshot:
    """The files of a project at one moment.

    Attributes:
        commit: 40 or 64 hex.
        tree: Equal for equal files.
        ref: What keeps the commit.
        left_out: Paths that it does not hold.
    """

    commit: str
    tree: str
    ref: str
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A working tree beside a snapshot.

    Attributes:
        tree: The files as they are now.
        changes: What `restore` would change.
        left_out: Paths that a snapshot of now would not hold.
    """

    tree: str
    changes: FileChanges
    left_out: tuple[LeftOut, ...]


class GitSnapshots:
    """The snapshots of one working tree; one thread at a time.

    Args:
        git: The user's repository.
        private: Where ours lies; a directory of the home.
        owner: Whose index it works on; a session.
        timeout_s: After which a snapshot or a way back gives up.
    """

    def __init__(
        self, git: Git, private: Path, *, owner: str, timeout_s: float = DEADLINE_S
    ) -> None:
        self._users = git
        self._private = private
        self._owner = owner
        self._timeout_s = timeout_s
        self._own: Git | None = None
        self._known: _Known | None = None
        self.newest: str | None = None

    def take(self, message: str, *, ref: str, parent: str | None = None) -> FileSnapshot:
        """Keep the files as they are now.

        Args:
            message: Of the commit.
            ref: What shall keep it; must be new.
            parent: The commit before it.

        Raises:
            StoreError: git refused or was too slow, or the ref exists; the working tree, the
                user's index and all refs are as before.
        """
        with self._followed() as (git, work):
            tree = git.line("write-tree")
            parents = ("-p", parent) if parent else ()
            said = message.encode("utf-8", "replace")
            commit = git.line("commit-tree", tree, *parents, stdin=said)
            self._point(ref, commit)
        self.newest = commit
        return FileSnapshot(commit=commit, tree=tree, ref=ref, left_out=tuple(work.left_out))

    def restore(self, commit: str) -> FileChanges:
        """Make the files as they were; ignored ones and those left out are not touched.

        Args:
            commit: Of a snapshot; a tree will do.

        Returns:
            What was changed.

        Raises:
            StoreError: A file is in the way, git refused or was too slow; files are as before, or
                the message says that they could not be put back.
        """
        with self._followed() as (git, _):
            before = git.line("write-tree")
            changes = _changes(git, before, commit)
            if (path := in_the_way(git.top, changes)) is not None:
                raise StoreError(
                    f"{path} is in the way: it is in no snapshot; nothing was changed",
                    hint="move it and try again",
                )
            if not changes.is_empty:
                self._switch(git, before, commit)
        return changes

    def changes(self, before: str, after: str) -> FileChanges:
        """How the files of two commits or trees differ."""
        return _changes(self._users.until(self._timeout_s), before, after)

    def current_changes(self, commit: str) -> FileChanges:
        """What `restore` would change; nothing is."""
        return self.look(commit).changes

    def look(self, commit: str) -> Looked:
        """The files as they are now beside those of a snapshot; nothing is changed."""
        with self._followed() as (git, work):
            tree = git.line("write-tree")
            changes = _changes(git, tree, commit)
        return Looked(tree=tree, changes=changes, left_out=tuple(work.left_out))

    def paths(self, commit: str) -> frozenset[str]:
        """The files that a snapshot holds."""
        git = self._users.until(self._timeout_s)
        listed = git.run("ls-tree", "-r", "-z", "--full-tree", "--name-only", commit).stdout
        return frozenset(os.fsdecode(path) for path in listed.split(b"\0") if path)

    def tag(self, name: str, commit: str) -> bool:
        """Give a commit a tag. Returns False when it has it already.

        Raises:
            StoreError: The tag points elsewhere; it was not moved.
        """
        return self._point(f"refs/tags/{name}", commit)

    def untag(self, name: str, commit: str) -> None:
        """Take back a tag; harmless when it is gone or points elsewhere."""
        self.forget(f"refs/tags/{name}", commit)

    def forget(self, ref: str, commit: str) -> None:
        """Let git throw a snapshot away at its next gc; harmless when somebody has."""
        git = self._users.until(self._timeout_s)
        git.run("update-ref", "--no-deref", "-d", ref, commit, ok=(0, 1, 128))

    def has(self, commit: str) -> bool:
        """True when the commit and its tree are there."""
        git = self._users.until(self._timeout_s)
        return git.run("cat-file", "-e", f"{commit}^{{tree}}", ok=(0, 1, 128)).returncode == 0

    def close(self) -> None:
        """Hand on what we know of the files to the next session."""
        own, self._own = self._own, None
        if own is not None:
            leave_index(own)

    @property
    def top(self) -> Path:
        """The top of the working tree."""
        return self._users.top

    # -- inside ------------------------------------------------------------------------------------

    @contextmanager
    def _followed(self) -> Iterator[tuple[Git, Work]]:
        """Git on our repository, whose index equals the working tree now."""
        users = self._users.until(self._timeout_s)
        if self._own is None:
            own = private_git(users, self._private, owner=self._owner)
            first_index(own, users)
            self._own = own
        git = self._own.until(self._timeout_s)
        _unlock(git)
        try:
            self._known = _Known.of(users, self._known)
            yield git, _follow(git, self._known)
        except BaseException:
            forget_index(git)
            self._own = None
            raise

    def _switch(self, git: Git, before: str, after: str) -> None:
        """From one tree to another; when that fails half-way, back to the first."""
        try:
            _read_tree(git, before, after)
        except StoreError as error:
            again = git.until(self._timeout_s)
            try:
                _unlock(again)
                _follow(again, _Known.of(self._users.until(self._timeout_s), None))
                _read_tree(again, again.line("write-tree"), before)
            except StoreError as second:
                raise StoreError(
                    f"{error.message}; files could not be put back: {second.message}",
                    hint="the newest checkpoint holds them",
                ) from error
            said = error.message.removesuffix(_NOTHING)
            raise StoreError(said + _NOTHING, hint=error.hint) from error

    def _point(self, ref: str, commit: str) -> bool:
        """Make a ref, or find it pointing there already: False."""
        git = self._users.until(self._timeout_s)
        none = "0" * len(commit)
        done = git.run("update-ref", "--no-deref", ref, commit, none, ok=(0, 1, 128))
        if done.returncode == 0:
            return True
        there = git.run("rev-parse", "--verify", "--quiet", ref, ok=(0, 1, 128)).stdout
        if there.decode("ascii", "replace").strip() != commit:
            said = done.stderr.decode("utf-8", "replace").strip()[:200]
            raise StoreError(
                f"git ref {ref} points elsewhere; it was not moved"
                if there
                else f"git ref {ref} cannot be made: {said}",
                hint="choose another name",
            )
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What only the user's repository knows about the files.

    Attributes:
        index: Of the user.
        seen: Its time, size and number; empty when there is none.
        exclude: The user's own list of ignored files.
        forced: Files that are ignored and tracked all the same.
    """

    index: Path
    seen: tuple[int, ...]
    exclude: Path
    forced: tuple[bytes, ...]

    @classmethod
    def of(cls, users: Git, before: "_Known | None") -> "_Known":
        """As it is now; asked of git only where the index is another than before."""
        if before is not None and before.seen == _stamp(before.index):
            return before
        said = users.run("rev-parse", "--git-path", "index", "--git-path", "info/exclude").stdout
        index, exclude = os.fsdecode(said).removesuffix("\n").split("\n")
        path = Path(users.top, index)
        seen = _stamp(path)
        forced = users.run("ls-files", "-z", "-c", "-i", "--exclude-standard").stdout
        return cls(
            index=path,
            seen=seen,
            exclude=Path(users.top, exclude),
            forced=tuple(name for name in forced.split(b"\0") if name),
        )


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _unlock(git: Git) -> None:
    """Remove the lock of a git that was killed: nobody else works on our index."""
    with suppress(OSError):
        Path(f"{git.own['GIT_INDEX_FILE']}.lock").unlink(missing_ok=True)


def _follow(git: Git, known: _Known) -> Work:
    """Make our index equal to the working tree."""
    rules = ("--exclude-from", str(known.exclude)) if known.exclude.exists() else ()
    drafts = f"--exclude=*{DRAFT_SUFFIX}"
    listed = git.run("ls-files", "-z", "-t", "-m", "-o", drafts, "--exclude-standard", *rules)
    # What the user tracks although it is ignored is the user's work, too.
    extra = b"".join(b"? " + path + b"\0" for path in known.forced)
    top = os.fsencode(git.top) + b"/"

    def look(path: bytes) -> "os.stat_result | None":
        try:
            return os.lstat(top + path)
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                return None
            raise

    def can_read(path: bytes) -> bool:
        return os.access(top + path, os.R_OK)

    work = sort_out(listed.stdout + extra, look, can_read)
    if work.remove:
        _update(git, "--force-remove", paths=work.remove)
    if work.add:
        _update(git, "--add", "--remove", "--replace", paths=work.add)
    return work


def _read_tree(git: Git, before: str, after: str) -> None:
    """Change index and working tree from one tree to another."""
    # A file that was only touched is as it was, so it was not captured again; but git replaces
    # none whose times are not those in its index.
    git.run("update-index", "-q", "--refresh", ok=(0, 1))
    git.run("read-tree", "-m", "-u", before, after)


def _update(git: Git, *options: str, paths: list[bytes]) -> None:
    listed = b"".join(path + b"\0" for path in paths)
    git.run("update-index", *options, "-z", "--stdin", stdin=listed)


def _changes(git: Git, before: str, after: str) -> FileChanges:
    listed = git.run("diff-tree", "-z", "-r", "--no-renames", "--name-status", before, after, "--")
    return parse_changes(listed.stdout)
