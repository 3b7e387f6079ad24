"""Snapshots of the files below one directory, in chunks of ours.

Called by `session.checkpoints.project_files` and `session.checkpoints.way_back`.

    look (walk, or what git leaves to us) ─▶ keep: chunks, then their table ─▶ the manifest
                                          └▶ now: the same without writing anything
"""

import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flow_kernel.store.files.capture import Known, capture
from flow_kernel.store.files.entries import spelled
from flow_kernel.store.files.parts import needed_by
from flow_kernel.store.files.rules import ALL_FILES, LARGE_FILES, Budget, Found, within
from flow_kernel.store.files.table import Contents, read_table, write_table
from flow_kernel.store.files.walk import Walked, walk
from flow_kernel.store.snapshots.fast import Content
from flow_kernel.store.snapshots.segments import ChunkLost, Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter, DigestWriter

_NAMED: Final = 100
"""Files left out that the manifest names; its table holds all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFiles:
    """What became of a snapshot.

    Attributes:
        document: For the manifest; JSON.
        bytes_new: Written for it.
    """

    document: dict[str, Any]
    bytes_new: int


class ChunkedFiles:
    """The files below one directory; one thread at a time.

    Args:
        root: The directory.
        segments: Where chunks lie.
        owner: Whose; begins the names of the segments.
        large: What a checkpoint may hold beside git.
        all_files: What it may hold without git.
    """

    def __init__(
        self,
        root: Path,
        segments: Path,
        *,
        owner: str,
        large: Budget = LARGE_FILES,
        all_files: Budget = ALL_FILES,
    ) -> None:
        self.root = root
        self._segments = segments
        self._owner = owner
        self._large = large
        self._all = all_files
        # Not those of the variables: another thread may use these at the same time.
        self._chunks = Chunks(segments)
        self._known: dict[str, Known] = {}
        self._held: frozenset[str] = frozenset()

    def remember(self, document: Mapping[str, Any] | None) -> None:
        """Take over what an earlier session has read; from a manifest that may be believed.

        None of it counts as held by the newest snapshot.
        """
        with suppress(ChunkLost):  # then all is read again
            for path, kept in self.contents(document).kept.items():
                self._known[path] = Known(kept, tuple(needed_by(kept.part, self.read)))

    def everything(self) -> Walked:
        """All files below the root that are within the budget.

        Raises:
            StoreError: There are too many, or the root cannot be read.
        """
        walked = walk(self.root, self._all)
        found, beyond = within(walked.found, self._all)
        return Walked(found, [*beyond, *walked.left_out])

    def these(self, paths: Iterable[str]) -> Walked:
        """Some files below the root, within the budget."""
        found = [one for path in paths if (one := self._found(path))]
        return Walked(*within(found, self._large))

    def also(self, walked: Walked, paths: Iterable[str]) -> Walked:
        """The same and some paths more, whatever the budget; those that are there."""
        seen = {one.path for one in walked.found}
        more = [found for path in paths if path not in seen and (found := self._found(path))]
        names = {one.path for one in more}
        left_out = [left for left in walked.left_out if left.path not in names]
        return Walked([*walked.found, *more], left_out)

    def keep(self, walked: Walked) -> KeptFiles:
        """Bring files to the disk; what was read before and has not changed is not read again.

        Raises:
            StoreError: The disk refuses.
        """
        self._chunks.refresh()
        writer = ChunkWriter(self._segments, self._chunks, owner=self._owner)
        try:
            done = capture(
                self.root,
                walked.found,
                writer,
                known=self._known,
                is_there=self._chunks.__contains__,
            )
            left_out = [*walked.left_out, *done.left_out]
            kept = [known.kept for known in done.known.values()]
            table, tree = write_table([*kept, *left_out], writer)
            writer.sync()
        finally:
            writer.close()
        self._known, self._held = done.known, frozenset(done.known)
        document = {
            "tree": tree,
            "table": table,
            "count": len(kept),
            "nbytes": sum(one.part.nbytes for one in kept if one.part is not None),
            "left_out": [
                {"path": spelled(left.path), "reason": left.reason, "size": left.size}
                for left in left_out[:_NAMED]
            ],
            "left_out_count": len(left_out),
        }
        return KeptFiles(document=document, bytes_new=writer.bytes_new)

    def keep_nothing(self) -> None:
        """There is nothing to keep now: no file of before counts as held."""
        self._known, self._held = {}, frozenset()

    def now(self, walked: Walked) -> Contents:
        """What `keep` would keep; nothing is written."""
        done = capture(self.root, walked.found, DigestWriter(), known=self._known, is_there=None)
        return Contents(
            {path: known.kept for path, known in done.known.items()},
            {left.path: left for left in (*walked.left_out, *done.left_out)},
        )

    def contents(self, document: Mapping[str, Any] | None) -> Contents:
        """What the files of a manifest say.

        Raises:
            ChunkLost: Their table is missing or damaged.
        """
        if document is None:
            return Contents({}, {})
        self._chunks.refresh()
        return read_table(document["table"], self.read)

    def read(self, digest: bytes) -> Content:
        """A chunk.

        Raises:
            ChunkLost: It is missing or damaged.
        """
        return self._chunks.read(digest)

    def is_held(self, path: str) -> bool:
        """True when the newest snapshot holds a file as it is at this moment."""
        if path not in self._held:
            return False
        known = self._known[path]
        now = self.now(self.also(Walked(), [path])).kept.get(path)
        return now is not None and now.content == known.kept.content

    def _found(self, path: str) -> Found | None:
        try:
            found = (self.root / path).lstat()
        except OSError:  # gone meanwhile
            return None
        return None if stat.S_ISDIR(found.st_mode) else Found(path, found)
