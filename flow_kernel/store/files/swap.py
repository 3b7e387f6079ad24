"""Puts files in the place of others: all of them, or none.

Called by `session.checkpoints.way_back`.

    stage: new files beside the tree, proven, on the disk ─▶ clear: old ones aside ─▶ place
                                                      undo ◀── anything fails ──┘

Whatever is moved is moved by renaming, within one file system, so the way back from any point is a
list of renames, too. `close` throws away what lies aside; what a kill leaves of it is told apart by
`leftovers`.
"""

import ctypes
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from flow_kernel.errors import StoreError
from flow_kernel.store import forks
from flow_kernel.store.files.entries import Kept
from flow_kernel.store.files.leftovers import owned, takes_originals, throw_away
from flow_kernel.store.files.parts import Read, content
from flow_kernel.store.git.rules import DRAFT_SUFFIX
from flow_kernel.store.snapshots.files import sync_directory, sync_file

_MANY: Final = 100
"""Files from which on one call for all is faster than one for each, of some 4 ms."""


@dataclass(frozen=True, slots=True)
class _Draft:
    where: Path
    target: Path
    is_link: bool


class Swap:
    """One exchange of files below a root.

    Args:
        root: Nothing above it is touched.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._name = f".{secrets.token_hex(4)}{DRAFT_SUFFIX}"
        self._asides: dict[int, Path] = {}
        self._locks: list[int] = []
        self._has_moved = False
        self._count = 0
        self._drafts: list[_Draft] = []
        self._undo: list[Callable[[], object]] = []

    def stage(self, files: Iterable[Kept], read: Read) -> None:
        """Write the new files where they disturb nobody; nothing of the tree is changed.

        Args:
            files: What shall be there.
            read: Gives a chunk, or raises ChunkLost.

        Raises:
            ChunkLost: A chunk is missing or damaged.
            OSError: The disk refuses.
        """
        for one in files:
            target = self._root / one.path
            where = self._aside(target)
            if one.part is None:
                where.symlink_to(one.target)
            else:
                with where.open("xb") as file:
                    for piece in content(one.part, read):
                        file.write(piece)
                    where.chmod(one.mode)
            self._drafts.append(_Draft(where, target, one.part is None))
        self._sync()

    def clear(self, paths: Iterable[str]) -> None:
        """Take files away, and the directories that are empty then.

        Raises:
            OSError: One cannot be; see `undo`.
        """
        folders = set()
        for path in paths:
            where = self._root / path
            self._set_aside(where)
            folders.add(where.parent)
        for folder in sorted(folders, key=lambda one: len(one.parts), reverse=True):
            self._remove_empty(folder)

    def place(self) -> None:
        """Put what was staged where it belongs.

        Raises:
            OSError: A file cannot be; see `undo`.
        """
        for draft in self._drafts:
            self._make_parents(draft.target.parent)
            if os.path.lexists(draft.target):
                self._replace(draft)
            else:
                _place_new(draft)
                self._undo.append(draft.target.unlink)
        for folder in {draft.target.parent for draft in self._drafts}:
            sync_directory(folder)

    def undoes(self, step: Callable[[], object]) -> None:
        """Tell how something is undone that was done in between."""
        self._undo.append(step)

    def undo(self) -> bool:
        """Put everything back. Returns False when something could not be."""
        is_whole = True
        while self._undo:
            try:
                self._undo.pop()()
            except OSError:  # of git, too; the rest goes back all the same
                is_whole = False
        return is_whole

    @property
    def asides(self) -> list[Path]:
        """Where lies what is in its place no more, or not yet."""
        return list(self._asides.values())

    def close(self) -> None:
        """Throw away what lies aside."""
        for folder in self.asides:
            throw_away(folder)
        self.leave()

    def leave(self) -> None:
        """Leave what lies aside to whoever finds it."""
        while self._locks:
            forks.close(self._locks.pop())

    # -- inside ------------------------------------------------------------------------------------

    def _sync(self) -> None:
        """Bring what was staged to the disk: many files by their file system as a whole."""
        written = [draft.where for draft in self._drafts if not draft.is_link]
        if len(written) > _MANY and all(_sync_file_system(folder) for folder in self.asides):
            return
        for where in written:
            sync_file(where)

    def _aside(self, target: Path) -> Path:
        """A free name in our directory on the file system of a path."""
        folder = target.parent
        while not _is_real_dir(folder):
            folder = folder.parent
        device = folder.lstat().st_dev
        if device not in self._asides:
            # As high as can be: it must not lie in a directory that shall go away.
            while folder != self._root and _is_usable(folder.parent, device):
                folder = folder.parent
            ours = folder / self._name
            ours.mkdir(0o700)
            self._asides[device] = ours
            self._locks.append(owned(ours, is_for_copies=not self._has_moved))
        self._count += 1
        return self._asides[device] / str(self._count)

    def _moves(self) -> None:
        """From now on what lies aside may be nowhere else."""
        if not self._has_moved:
            self._has_moved = True
            for folder in self.asides:
                takes_originals(folder)

    def _set_aside(self, path: Path) -> None:
        self._moves()
        aside = self._aside(path)
        path.rename(aside)
        self._undo.append(lambda: aside.replace(path))

    def _replace(self, draft: _Draft) -> None:
        """Put a file in the place of another; at each moment one of them is there."""
        self._moves()
        aside = self._aside(draft.target)
        try:
            os.link(draft.target, aside, follow_symlinks=False)
        except OSError:  # no hard links here, or none to files of others
            draft.target.rename(aside)
        self._undo.append(lambda: aside.replace(draft.target))
        draft.where.replace(draft.target)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self._root:
            try:
                mode = stat.S_IMODE(folder.lstat().st_mode)
                folder.rmdir()
            except OSError:
                return
            self._undo.append(partial(_make_dir, folder, mode))
            folder = folder.parent

    def _make_parents(self, folder: Path) -> None:
        missing = []
        while not os.path.lexists(folder):
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            one.mkdir()
            self._undo.append(one.rmdir)


def _sync_file_system(folder: Path) -> bool:
    """True when all of a file system has reached the disk; False where that cannot be asked for."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):
        return False
    fd = os.open(folder, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        if syncfs(fd):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(fd)
    return True


def _is_real_dir(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def _is_usable(folder: Path, device: int) -> bool:
    return folder.lstat().st_dev == device and os.access(folder, os.W_OK | os.X_OK)


def _make_dir(where: Path, mode: int) -> None:
    where.mkdir()
    where.chmod(mode)


def _place_new(draft: _Draft) -> None:
    """Where nothing is; a file that came about meanwhile is not replaced."""
    try:
        os.link(draft.where, draft.target, follow_symlinks=False)
    except FileExistsError as error:
        raise StoreError(f"{draft.target} came about meanwhile") from error
    except OSError:  # no hard links here
        draft.where.rename(draft.target)
