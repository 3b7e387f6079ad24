"""The way back of files: of git and of our chunks together, all of them or none.

Made by `project_files`.

    in the way? held by the newest checkpoint? ─▶ new files staged, proven ─▶ old ones aside ─▶
    git's files ─▶ ours in place

Nothing of the tree is changed before the first arrow; after it, a failure puts everything back.
"""

from collections.abc import Mapping
from functools import partial

from flow_kernel.errors import CheckpointDamaged, StoreError
from flow_kernel.store.files.entries import Kept, spelled, together
from flow_kernel.store.files.snapshots import ChunkedFiles
from flow_kernel.store.files.swap import Swap
from flow_kernel.store.git.rules import NO_CHANGES, FileChanges
from flow_kernel.store.git.snapshots import GitSnapshots, Looked
from flow_kernel.store.git.way import in_the_way
from flow_kernel.store.snapshots.segments import ChunkLost


class WayBack:
    """One way back, planned.

    Args:
        checkpoint_id: Where to.
        chunked: The files below the root.
        wanted: Those that shall be there, by path.
        own: How the files now differ from those.
        git: The repository, where it has a part in it.
        commit: That git shall go back to.
        looked: What it would change.
        held_by_git: Files that the newest checkpoint left to git.
    """

    def __init__(  # noqa: PLR0913 - called twice, each by name
        self,
        checkpoint_id: str,
        chunked: ChunkedFiles,
        *,
        wanted: Mapping[str, Kept],
        own: FileChanges,
        git: GitSnapshots | None = None,
        commit: str = "",
        looked: Looked | None = None,
        held_by_git: frozenset[str] = frozenset(),
    ) -> None:
        self._checkpoint_id = checkpoint_id
        self._chunked = chunked
        self._wanted = wanted
        self._own = own
        self._git = git
        self._commit = commit
        self._looked = looked
        self._held_by_git = held_by_git

    @property
    def changes(self) -> FileChanges:
        """What it would change."""
        return together(self._by_git, self._own)

    def go(self) -> FileChanges:
        """Do it; returns what was changed.

        Raises:
            StoreError: A file is in the way, git or the disk refuses; nothing was changed, or the
                message says what could not be put back.
            CheckpointDamaged: A chunk is missing or damaged; nothing was changed.
        """
        own = self._checked()
        if own.is_empty:
            if self._git is not None and not self._by_git.is_empty:
                self._git.restore(self._commit)
            return together(self._by_git, own)
        swap = Swap(self._chunked.root)
        try:
            writes = [self._wanted[path] for path in (*own.added, *own.changed)]
            swap.stage(writes, self._chunked.read)
            swap.clear(own.removed)
            self._switch_git(swap)
            swap.place()
        except BaseException as error:
            if not swap.undo():
                where = ", ".join(spelled(str(folder)) for folder in swap.asides)
                swap.leave()
                raise StoreError(
                    f"{_said(error)}; not every file could be put back: what is missing is in"
                    f" {where} and in the newest checkpoint",
                    hint="see: %checkpoint list",
                ) from error
            swap.close()
            if isinstance(error, ChunkLost):
                raise CheckpointDamaged(
                    f"checkpoint {self._checkpoint_id}: its files: {error}; nothing was changed",
                    variables=(),
                ) from None
            if isinstance(error, OSError):
                raise StoreError(f"{_said(error)}; nothing was changed") from error
            raise
        swap.close()
        return together(self._by_git, own)

    # -- inside ------------------------------------------------------------------------------------

    @property
    def _by_git(self) -> FileChanges:
        return NO_CHANGES if self._looked is None else self._looked.changes

    def _checked(self) -> FileChanges:
        """What is to be done with our files, once nothing can be lost by it."""
        own, by_git = self._own, self._by_git
        removed = [path for path in own.removed if self._is_held(path)]
        both = FileChanges(
            added=[*own.added, *by_git.added], changed=[], removed=[*removed, *by_git.removed]
        )
        lost = in_the_way(self._chunked.root, both)
        if lost is None:
            lost = next((path for path in own.changed if not self._is_held(path)), None)
        if lost is not None:
            raise StoreError(
                f"{spelled(lost)} is in the way: it is in no snapshot; nothing was changed",
                hint="move it and try again",
            )
        return FileChanges(added=own.added, changed=own.changed, removed=removed)

    def _is_held(self, path: str) -> bool:
        return path in self._held_by_git or self._chunked.is_held(path)

    def _switch_git(self, swap: Swap) -> None:
        if self._git is None or self._looked is None or self._looked.changes.is_empty:
            return
        self._git.restore(self._commit)
        swap.undoes(partial(self._git.restore, self._looked.tree))


def _said(error: BaseException) -> str:
    if isinstance(error, StoreError):
        return error.message.removesuffix("; nothing was changed")
    if isinstance(error, OSError):
        where = spelled(str(error.filename)) if error.filename is not None else "the disk"
        return f"{where}: {error.strerror or error}"
    return str(error) or type(error).__name__
