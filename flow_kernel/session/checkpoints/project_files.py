"""The files of a project as a part of its checkpoints.

Called by `service` to keep them and by `rollback` to bring them back.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from flow_kernel.errors import StoreError
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.store.git.rules import NO_CHANGES, FileChanges, ref_name, tag_name
from flow_kernel.store.git.snapshots import FileSnapshot, GitSnapshots


class ProjectFiles:
    """The files around one session; one thread at a time.

    Args:
        git: Gives the repository; raises StoreError where there is none to capture.
        session: 32 hex.
    """

    def __init__(self, git: Callable[[], GitSnapshots], session: str) -> None:
        self._git = git
        self._session = session

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
        return TakenFiles(self._git, self._session, name, number=number, tag=tag, parent=before)

    def difference(self, before: Checkpoint, after: Checkpoint | None) -> FileChanges:
        """How the files of two checkpoints differ; None stands for now."""
        if before.git is not None:
            with suppress(StoreError):  # a commit that is gone, or no git any more
                commit = str(before.git["commit"])
                if after is None:
                    return self._git().current_changes(commit).reversed()
                if after.git is not None:
                    return self._git().changes(commit, str(after.git["commit"]))
        return NO_CHANGES

    def restore(self, target: Checkpoint, *, must: bool, dry_run: bool) -> tuple[FileChanges, str]:
        """Make the files as they were; returns what was changed, and why nothing was.

        Args:
            target: A checkpoint.
            must: True when nothing but files was asked for.
            dry_run: True to change nothing.

        Raises:
            StoreError: They are not to be had, or git refuses; nothing was changed.
        """
        if target.git is None:
            if must:
                raise StoreError(
                    f"checkpoint {target.checkpoint_id} holds no files: {target.files_reason}"
                )
            return NO_CHANGES, target.files_reason
        files = self._git()
        commit = str(target.git["commit"])
        if not files.has(commit):
            raise StoreError(
                f"checkpoint {target.checkpoint_id}: its commit {commit[:12]} is not in the"
                " repository; nothing was changed",
                hint="the variables alone: --state",
            )
        return (files.current_changes(commit) if dry_run else files.restore(commit)), ""

    def git_or_none(self) -> GitSnapshots | None:
        """The repository, where there is one."""
        with suppress(StoreError):
            return self._git()
        return None


class TakenFiles:
    """The files' part of one checkpoint, which can still be given up.

    Args:
        git: Gives the repository.
        session: 32 hex.
        name: Of the checkpoint.
        number: Of the checkpoint.
        tag: True to give the commit a tag as well.
        parent: The commit before it.
    """

    def __init__(
        self,
        git: Callable[[], GitSnapshots],
        session: str,
        name: str,
        *,
        number: int,
        tag: bool,
        parent: str | None,
    ) -> None:
        self._git = git
        self._session = session[:8]
        self._name = name
        self._number = number
        self._tag = tag
        self._parent = parent
        self._taken: FileSnapshot | None = None

    def take(self) -> tuple[dict[str, Any] | None, str]:
        """Keep the files; returns what the manifest says of them, or None and why.

        Raises:
            StoreError: git refuses, or the tag points elsewhere.
        """
        try:
            git = self._git()
        except StoreError as error:
            if self._tag:
                raise
            return None, error.message
        ref = ref_name(self._session, self._number, self._name)
        taken = git.take(f"checkpoint {self._name}", ref=ref, parent=self._parent)
        self._taken = taken
        tag = tag_name(self._session, self._name) if self._tag else None
        if tag is not None:
            git.tag(tag, taken.commit)
        left_out = [
            {"path": left.path, "reason": left.reason, "size": left.size} for left in taken.left_out
        ]
        return {
            "commit": taken.commit,
            "tree": taken.tree,
            "ref": taken.ref,
            "tag": tag,
            "left_out": left_out,
        }, ""

    def forget(self) -> None:
        """Give it up: the checkpoint did not come about."""
        if self._taken is not None:
            with suppress(StoreError):
                self._git().forget(self._taken.ref, self._taken.commit)
