"""The files of a project as a part of its checkpoints.

Called by `service` to keep them and by `rollback` to bring them back.

    with git      a commit, and its large files in chunks of ours   "git": {…}, "files": {…} or null
    without git   all files below the working directory in chunks   "git": null, "files": {…}
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow_kernel.errors import CheckpointDamaged, StoreError
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.way_back import WayBack
from flow_kernel.store.files.entries import differences, spelled, together, unspelled
from flow_kernel.store.files.leftovers import tidy
from flow_kernel.store.files.snapshots import ChunkedFiles
from flow_kernel.store.files.table import Contents
from flow_kernel.store.git.rules import (
    LARGE,
    NO_CHANGES,
    FileChanges,
    LeftOut,
    is_refused,
    ref_name,
    tag_name,
)
from flow_kernel.store.git.snapshots import FileSnapshot, GitSnapshots, Looked
from flow_kernel.store.snapshots.segments import ChunkLost


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesPlace:
    """Where the files of a session lie.

    Attributes:
        git: Gives the repository; raises StoreError where there is none to capture.
        chunked: Makes what brings the files below a directory into chunks.
        newest: Gives the files in chunks of the newest checkpoint that this user has signed.
        cwd: Where the session works.
        user_home: Never captured as a whole.
        base: What checkpoints name a working directory from, so that both can move together.
        say: Tells the person.
    """

    git: Callable[[], GitSnapshots]
    chunked: Callable[[Path], ChunkedFiles]
    newest: Callable[[], Mapping[str, Any] | None]
    cwd: Path
    user_home: Path
    base: Path
    say: Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptParts:
    """What a manifest says of files.

    Attributes:
        git: Commit, tree, ref, tag and paths left out; None without git.
        files: What lies in chunks of ours; None when nothing does.
        reason: Why there are no files at all; empty when there are.
        bytes_new: Written to our chunks.
    """

    git: Mapping[str, Any] | None = None
    files: Mapping[str, Any] | None = None
    reason: str = ""
    bytes_new: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"git": self.git, "files": self.files, "files_reason": self.reason}

    def is_same_as(self, checkpoint: Checkpoint) -> bool:
        """True when a checkpoint holds the same files."""
        return _tree(self.git) == _tree(checkpoint.git) and (
            _tree(self.files) == _tree(checkpoint.files)
        )


class ProjectFiles:
    """The files around one session; one thread at a time.

    Args:
        place: Where they lie.
        session: 32 hex.
    """

    def __init__(self, place: FilesPlace, session: str) -> None:
        self._place = place
        self._session = session
        self._chunked: ChunkedFiles | None = None
        self._told_of: set[Path] = set()

    def tidy(self, root: Path) -> None:
        """Throw away what a way back that was killed has left, or say where it lies."""
        for folder in tidy(root):
            if folder not in self._told_of:
                self._told_of.add(folder)
                self._place.say(
                    "a way back was killed before its end; files that it had taken away are in"
                    f" {spelled(str(folder))}: go back again, to where it went or to the"
                    " checkpoint before it, and delete that directory"
                )

    def begin(
        self, name: str, *, number: int, tag: bool, parent: Checkpoint | None
    ) -> "TakenFiles":
        """The files' part of a checkpoint that is about to be taken.

        Args:
            name: Of the checkpoint.
            number: Of the checkpoint, counted in the session.
            tag: True to give its commit a tag as well.
            parent: The checkpoint before it.
        """
        before = parent.git["commit"] if parent is not None and parent.git else None
        session = self._session[:8]
        return TakenFiles(
            self,
            f"checkpoint {name}",
            ref=ref_name(session, number, name),
            tag=tag_name(session, name) if tag else None,
            parent=before,
        )

    def difference(self, before: Checkpoint, after: Checkpoint | None) -> FileChanges:
        """How the files of two checkpoints differ; None stands for now.

        What git holds of one and chunks of the other cannot be compared and counts as equal.

        Raises:
            CheckpointDamaged: The list of the files in chunks is missing or damaged.
        """
        if before.git is None:
            return self._chunked_difference(before, after)
        with suppress(StoreError):  # a commit that is gone, or no git any more
            git = self._place.git()
            commit = str(before.git["commit"])
            old = _contents(self.chunked_at(git.top), before)
            if after is None:
                looked = git.look(commit)
                now = self.large_now(git, looked)
                own = differences(old.kept, now.kept, [*old.left_out, *now.left_out])
                return together(looked.changes.reversed(), own)
            if after.git is not None:
                new = _contents(self.chunked_at(git.top), after)
                own = differences(old.kept, new.kept, [*old.left_out, *new.left_out])
                return together(git.changes(commit, str(after.git["commit"])), own)
        return NO_CHANGES

    def restore(self, target: Checkpoint, *, must: bool, dry_run: bool) -> tuple[FileChanges, str]:
        """Make the files as they were; returns what was changed, and why nothing was.

        Args:
            target: A checkpoint.
            must: True when nothing but files was asked for.
            dry_run: True to change nothing.

        Raises:
            StoreError: They are not to be had, one is in the way, or git or the disk refuses;
                nothing was changed.
            CheckpointDamaged: A chunk is missing or damaged; nothing was changed.
        """
        if target.git is not None:
            way = self._way_with_git(target, str(target.git["commit"]))
        elif target.files is not None:
            way = self._way_without_git(target, target.files)
        elif must:
            raise StoreError(
                f"checkpoint {target.checkpoint_id} holds no files: {target.files_reason}"
            )
        else:
            return NO_CHANGES, target.files_reason
        return (way.changes if dry_run else way.go()), ""

    def git_or_none(self) -> GitSnapshots | None:
        """The repository, where there is one."""
        with suppress(StoreError):
            return self._place.git()
        return None

    @property
    def place(self) -> FilesPlace:
        """Where the files lie."""
        return self._place

    @property
    def root_name(self) -> str:
        """The working directory as manifests name it."""
        cwd = self._place.cwd
        if cwd.is_relative_to(self._place.base):
            cwd = cwd.relative_to(self._place.base)
        return spelled(str(cwd))

    def chunked_at(self, root: Path) -> ChunkedFiles:
        """What brings the files below a directory into chunks; of one directory at a time."""
        if self._chunked is None or self._chunked.root != root:
            self._chunked = self._place.chunked(root)
            self._chunked.remember(self._place.newest())
        return self._chunked

    def large_now(self, git: GitSnapshots, looked: Looked) -> Contents:
        """The large files of a working tree as they are now."""
        chunked = self.chunked_at(git.top)
        return chunked.now(chunked.these(large(looked.left_out)))

    # -- inside ------------------------------------------------------------------------------------

    def _chunked_difference(self, before: Checkpoint, after: Checkpoint | None) -> FileChanges:
        is_here = before.files is not None and before.files.get("root") == self.root_name
        chunked = self.chunked_at(self._place.cwd)
        old = _contents(chunked, before)
        if after is None and is_here:
            with suppress(StoreError):  # there are too many by now
                now = chunked.now(chunked.also(chunked.everything(), old.kept))
                return differences(old.kept, now.kept, [*old.left_out, *now.left_out])
        elif after is not None and before.files and after.files and after.git is None:
            new = _contents(chunked, after)
            if before.files.get("root") == after.files.get("root"):
                return differences(old.kept, new.kept, [*old.left_out, *new.left_out])
        return NO_CHANGES

    def _way_with_git(self, target: Checkpoint, commit: str) -> WayBack:
        git = self._place.git()
        self.tidy(git.top)
        if not git.has(commit):
            raise StoreError(
                f"checkpoint {target.checkpoint_id}: its commit {commit[:12]} is not in the"
                " repository; nothing was changed",
                hint="the variables alone: --state",
            )
        chunked = self.chunked_at(git.top)
        old = _contents(chunked, target)
        looked = git.look(commit)
        walked = chunked.these(large(looked.left_out))
        # What git is about to remove is git's to compare.
        more = [path for path in old.kept if path not in frozenset(looked.changes.removed)]
        now = chunked.now(chunked.also(walked, more))
        return WayBack(
            target.checkpoint_id,
            chunked,
            wanted=old.kept,
            own=differences(now.kept, old.kept, old.left_out),
            git=git,
            commit=commit,
            looked=looked,
        )

    def _way_without_git(self, target: Checkpoint, files: Mapping[str, Any]) -> WayBack:
        if files.get("root") != self.root_name:
            raise StoreError(
                f"checkpoint {target.checkpoint_id} holds the files of {files.get('root')}, and "
                "this session works elsewhere; nothing was changed",
                hint="the variables alone: --state",
            )
        self.tidy(self._place.cwd)
        chunked = self.chunked_at(self._place.cwd)
        old = _contents(chunked, target)
        now = chunked.now(chunked.also(chunked.everything(), old.kept))
        git = self.git_or_none()
        return WayBack(
            target.checkpoint_id,
            chunked,
            wanted=old.kept,
            own=differences(now.kept, old.kept, old.left_out),
            held_by_git=_held_by(git, chunked.root),
        )


class TakenFiles:
    """The files' part of one checkpoint, which can still be given up.

    Args:
        files: Of the session.
        message: Of the commit.
        ref: What shall keep the commit.
        tag: To be given to the commit as well, if any.
        parent: The commit before it.
    """

    def __init__(
        self, files: ProjectFiles, message: str, *, ref: str, tag: str | None, parent: str | None
    ) -> None:
        self._files = files
        self._message = message
        self._ref = ref
        self._tag = tag
        self._parent = parent
        self._taken: FileSnapshot | None = None
        self._is_tagged = False

    def take(self) -> KeptParts:
        """Keep the files; returns what the manifest says of them.

        Raises:
            StoreError: git or the disk refuses, or the tag points elsewhere.
        """
        try:
            git = self._files.place.git()
        except StoreError as error:
            if self._tag:
                raise
            return self._without_git(error.message)
        self._files.tidy(git.top)
        taken = git.take(self._message, ref=self._ref, parent=self._parent)
        self._taken = taken
        if self._tag is not None:
            self._is_tagged = git.tag(self._tag, taken.commit)
        left_out = [
            {"path": spelled(left.path), "reason": left.reason, "size": left.size}
            for left in taken.left_out
            if left.reason != LARGE
        ]
        said = {
            "commit": taken.commit,
            "tree": taken.tree,
            "ref": taken.ref,
            "tag": self._tag,
            "left_out": left_out,
        }
        chunked = self._files.chunked_at(git.top)
        walked = chunked.these(large(taken.left_out))
        if not walked.found and not walked.left_out:
            chunked.keep_nothing()
            return KeptParts(git=said)
        kept = chunked.keep(walked)
        return KeptParts(git=said, files=kept.document, bytes_new=kept.bytes_new)

    def forget(self) -> None:
        """Give it up: the checkpoint did not come about; its chunks are nobody's."""
        if self._taken is not None:
            with suppress(StoreError):
                git = self._files.place.git()
                git.forget(self._taken.ref, self._taken.commit)
                if self._tag is not None and self._is_tagged:
                    git.untag(self._tag, self._taken.commit)

    def _without_git(self, why: str) -> KeptParts:
        place = self._files.place
        if is_refused(str(place.cwd), str(place.user_home)):
            return KeptParts(
                reason=f"files are not captured: the working directory is all of {place.cwd}"
            )
        self._files.tidy(place.cwd)
        chunked = self._files.chunked_at(place.cwd)
        try:
            walked = chunked.everything()
        except StoreError as error:
            return KeptParts(reason=str(error))
        kept = chunked.keep(walked)
        files = {"root": self._files.root_name, "no_git": why, **kept.document}
        return KeptParts(files=files, bytes_new=kept.bytes_new)


def large(left_out: tuple[LeftOut, ...]) -> list[str]:
    """The files that git leaves to us."""
    return [left.path for left in left_out if left.reason == LARGE]


def _tree(part: Mapping[str, Any] | None) -> object:
    return None if part is None else part["tree"]


def _contents(chunked: ChunkedFiles, checkpoint: Checkpoint) -> Contents:
    """The files of a checkpoint in chunks; what git left out counts as left out."""
    try:
        found = chunked.contents(checkpoint.files)
    except ChunkLost as error:
        raise CheckpointDamaged(
            f"checkpoint {checkpoint.checkpoint_id}: the list of its files: {error}; "
            "nothing was changed",
            variables=(),
        ) from None
    left_out = dict(found.left_out)
    for left in (checkpoint.git or {}).get("left_out", ()):
        path = unspelled(str(left["path"]))
        left_out[path] = LeftOut(path=path, reason=str(left["reason"]), size=left.get("size"))
    return Contents(found.kept, left_out)


def _held_by(git: GitSnapshots | None, root: Path) -> frozenset[str]:
    """What the newest snapshot of a repository holds, where there is one at a directory by now."""
    newest = None if git is None or git.top != root else git.newest
    return frozenset() if git is None or newest is None else git.paths(newest)
