"""The checkpoints of a home, for any process: found, compared and verified, never executed.

Called by `session.checkpoints.service`, by the magics and by the command line.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from flow_kernel.errors import CheckpointDamaged, NotFound, StoreError, UsageError
from flow_kernel.records.beside import Stop
from flow_kernel.records.home import Home
from flow_kernel.records.plain import counted
from flow_kernel.session.checkpoints.checkpoint import Body, Checkpoint, Part, summed_up
from flow_kernel.session.checkpoints.manifest_shape import check_body, check_head
from flow_kernel.store.files.table import damaged, needed_in
from flow_kernel.store.snapshots.content import ListDamaged, listed
from flow_kernel.store.snapshots.manifests import (
    SUFFIX,
    ManifestDamaged,
    ManifestTooNew,
    Unsealed,
    manifests_in,
    read_body,
    read_manifest,
    unseal,
)
from flow_kernel.store.snapshots.reading import read_content, read_into
from flow_kernel.store.snapshots.segments import ChunkLost, Chunks

_FEWEST_OF_ID: Final = 4
_ID: Final = re.compile(r"[0-9a-f]{12}\Z")


class Trouble(NamedTuple):
    """Something wrong with one checkpoint."""

    checkpoint_id: str
    variables: tuple[str, ...]
    reason: str

    @property
    def said(self) -> str:
        """What of it is wrong, and why."""
        return f"{', '.join(self.variables)}: {self.reason}" if self.variables else self.reason


class Shelf:
    """All checkpoints of one home.

    Args:
        home: Whose.
        key: Gives the user's key; asked when a manifest is read.
    """

    def __init__(self, home: Home, *, key: Callable[[], bytes]) -> None:
        self.manifests_dir: Final = home.root / "objects" / "checkpoints"
        self.segments_dir: Final = home.root / "objects" / "segments"
        self.chunks: Chunks = Chunks(self.segments_dir)
        self._key = key
        self._losses = 0
        self._known: dict[str, Checkpoint] = {}
        self.damaged: dict[str, str] = {}
        """By id, why a manifest cannot be read."""
        self.spoiled: set[str] = set()
        """Those that nobody will ever read, unlike one of a newer version."""

    def all(self) -> list[Checkpoint]:
        """All of them in the order in which they were taken; damaged ones are in `damaged`."""
        there = manifests_in(self.manifests_dir)
        for checkpoint_id in self._known.keys() - there:
            del self._known[checkpoint_id]
        self.damaged, self.spoiled = {}, set()
        for checkpoint_id in sorted(there - self._known.keys()):
            self._read(checkpoint_id)
        return sorted(self._known.values(), key=lambda c: (c.created_at, c.seq, c.checkpoint_id))

    def newest_first(self) -> Iterator[Checkpoint]:
        """Those that can be read, each read when it is its turn, by the times of their files.

        These are no promise: a home may have been copied. `all` goes by what the manifests say.
        """
        times: list[tuple[int, str]] = []
        for checkpoint_id in manifests_in(self.manifests_dir):
            with suppress(OSError):  # pruned meanwhile
                path = self.manifests_dir / f"{checkpoint_id}{SUFFIX}"
                times.append((path.stat().st_mtime_ns, checkpoint_id))
        for _, checkpoint_id in sorted(times, reverse=True):
            if checkpoint_id not in self._known:
                self._read(checkpoint_id)
            if (one := self._known.get(checkpoint_id)) is not None:
                yield one

    def find(self, wanted: str, *, session: str | None = None) -> Checkpoint:
        """One checkpoint; of a whole id only its own manifest is read.

        Args:
            wanted: Its id, its name (the newest of that name, those of `session` first), the
                beginning of its id, or `-1`, `-2`, … counted from the newest of `session`.
            session: Whose come first.

        Raises:
            NotFound: There is none.
            UsageError: Several ids begin like that.
            CheckpointDamaged: There is one, and it cannot be read.
        """
        if (exact := self._of_id(wanted)) is not None:
            return exact
        known = self.all()
        own = [one for one in known if one.session == session]
        if wanted.startswith("-") and wanted[1:].isdigit() and int(wanted[1:]):
            back = [one for one in own or known if one.reason != "safety"]
            if int(wanted[1:]) <= len(back):
                return back[-int(wanted[1:])]
            raise NotFound(
                f"{counted(len(back), 'checkpoint is', 'checkpoints are')} all that there is",
                hint=_HINT,
            )
        for group in (own, known):
            if named := [one for one in group if one.name == wanted]:
                return named[-1]
        begun = [one for one in known if one.checkpoint_id.startswith(wanted.lower())]
        if len(wanted) >= _FEWEST_OF_ID and len(begun) == 1:
            return begun[0]
        if len(wanted) >= _FEWEST_OF_ID and begun:
            raise UsageError(f"{len(begun)} checkpoints begin with {wanted}", hint=_HINT)
        if wanted in self.damaged:
            raise CheckpointDamaged(
                f"checkpoint {wanted}: its manifest {self.damaged[wanted]}", variables=()
            )
        raise NotFound(f'there is no checkpoint "{wanted[:80]}"', hint=_HINT)

    def content(self, part: Part, *, is_code: bool = True) -> memoryview:
        """The bytes of a part, proven to be what was written; writable.

        Args:
            part: Which.
            is_code: False for buffers, which a fast hash may prove: 100 MB take some 30 ms.

        Raises:
            ChunkLost: A chunk is missing or damaged.
        """
        try:
            return self._content(part, is_code=is_code)
        except ChunkLost:
            # It may lie elsewhere by now: another process collects what nobody needs.
            self.chunks.refresh()
            return self._content(part, is_code=is_code)

    def read_into(self, part: Part, target: memoryview, *, stop: Stop | None = None) -> None:
        """The bytes of a buffer, proven, into memory that somebody has.

        Args:
            part: Which.
            target: As long as it.
            stop: Looked at on the way.

        Raises:
            ChunkLost: A chunk is missing or damaged, or they are not as long as that.
            GivenUp: The stop is set.
        """
        try:
            read_into(self.chunks, self.digests(part), target, is_code=False, stop=stop)
        except ChunkLost:
            self.chunks.refresh()  # as above
            read_into(self.chunks, self.digests(part), target, is_code=False, stop=stop)

    def verify_files(self, checkpoint: Checkpoint) -> list[Trouble]:
        """Look at every byte of a checkpoint's files in chunks; empty when all are right."""
        self.chunks.refresh()
        return [
            Trouble(checkpoint.checkpoint_id, (), f"{lost.name}: {lost.reason}")
            for lost in damaged(checkpoint.files, self.chunks.read)
        ]

    def verify(self, checkpoint: Checkpoint) -> list[Trouble]:
        """Look at every byte of a checkpoint; empty when all are right."""
        self.chunks.refresh()
        found = []
        try:
            groups = checkpoint.groups
        except CheckpointDamaged as error:
            return [Trouble(checkpoint.checkpoint_id, (), error.message)]
        for group in groups:
            try:
                self.content(group.stream)
                for part in group.buffers:
                    self.content(part, is_code=False)
            except ChunkLost as error:
                found.append(Trouble(checkpoint.checkpoint_id, group.names, str(error)))
        return found

    def still(self, checkpoint: Checkpoint | None) -> Checkpoint | None:
        """The same, unless somebody has dropped it."""
        if checkpoint is None:
            return None
        path = self.manifests_dir / f"{checkpoint.checkpoint_id}{SUFFIX}"
        return checkpoint if path.exists() else None

    def has_lost(self) -> bool:
        """True when segments have gone since this was asked last: so may have chunks."""
        self.chunks.refresh()
        before, self._losses = self._losses, self.chunks.losses
        return before != self._losses

    def drop(self, checkpoint: Checkpoint) -> None:
        """Forget a checkpoint; its chunks stay until they are collected."""
        (self.manifests_dir / f"{checkpoint.checkpoint_id}{SUFFIX}").unlink(missing_ok=True)
        self._known.pop(checkpoint.checkpoint_id, None)

    def reachable(self) -> frozenset[bytes]:
        """The chunks that some checkpoint needs, lists among them.

        Raises:
            StoreError: It cannot be told, because a manifest or a list cannot be read.
        """
        self.chunks.refresh()
        known = self.all()
        if self.damaged:
            one, why = next(iter(self.damaged.items()))
            raise StoreError(f"what checkpoint {one} needs is not known: it {why}", hint=_REPAIR)
        try:
            parts = {part for found in self.parts_of(known) for part in found}
        except CheckpointDamaged as error:
            raise StoreError(error.message, hint=_REPAIR) from None
        return frozenset(digest for part in parts for digest in self.needed_by(part))

    def parts_of(self, known: Iterable[Checkpoint]) -> Iterator[frozenset[Part]]:
        """All content of each of some checkpoints, that of its files among it.

        Raises:
            CheckpointDamaged: A manifest does not say what is in it.
            StoreError: The list of some files is there and cannot be read.
        """
        same: dict[Part, Part] = {}  # one object for what many have in common
        tables: dict[str, Part] = {}
        for one in known:
            for chunk in (one.files or {}).get("table", ()):
                if chunk not in tables:
                    tables[chunk] = Part(nbytes=0, chunks=tuple(self._named_in(chunk)))
            yield frozenset(
                (
                    *(same.setdefault(part, part) for part in one.body.parts()),
                    *(tables[chunk] for chunk in (one.files or {}).get("table", ())),
                )
            )

    def needed_by(self, part: Part) -> list[bytes]:
        """The chunks of a part, and the one that lists them.

        Raises:
            StoreError: The list is there and cannot be read.
        """
        if part.chunk_list is None:
            return self.digests(part)
        listing = bytes.fromhex(part.chunk_list)
        if listing not in self.chunks:  # what a lost list named cannot be had any more
            return [listing]
        try:
            return [listing, *self.digests(part)]
        except ChunkLost as error:
            raise StoreError(f"a list of chunks is damaged: {error}", hint=_REPAIR) from None

    def _named_in(self, chunk: str) -> list[str]:
        try:
            return [digest.hex() for digest in needed_in(chunk, self.chunks)]
        except ChunkLost as error:
            raise StoreError(f"a list of files is damaged: {error}", hint=_REPAIR) from None

    def _content(self, part: Part, *, is_code: bool) -> memoryview:
        return read_content(self.chunks, self.digests(part), part.nbytes, is_code=is_code)

    def digests(self, part: Part) -> list[bytes]:
        """The chunks of a part, in order.

        Raises:
            ChunkLost: Its list is missing or damaged.
        """
        if part.chunk_list is None:
            return [bytes.fromhex(chunk) for chunk in part.chunks]
        try:
            return listed(self.chunks.read(bytes.fromhex(part.chunk_list)))
        except ListDamaged as error:
            raise ChunkLost(str(error)) from None

    def _of_id(self, wanted: str) -> Checkpoint | None:
        """The one whose id that is, where it is there and can be read."""
        if _ID.match(wanted) is None:
            return None
        if (known := self._known.get(wanted)) is not None:
            return self.still(known)
        self._read(wanted)
        return self._known.get(wanted)

    def _read(self, checkpoint_id: str) -> None:
        try:
            data = read_manifest(f"{self.manifests_dir}/{checkpoint_id}{SUFFIX}")
            found = _checked(unseal(data, self._key()), checkpoint_id)
        except FileNotFoundError:  # pruned meanwhile
            return
        except (ManifestDamaged, OSError) as error:
            self.damaged[checkpoint_id] = str(error)
            if isinstance(error, ManifestDamaged) and not isinstance(error, ManifestTooNew):
                self.spoiled.add(checkpoint_id)
            return
        self._known[checkpoint_id] = found


_HINT: Final = "see: %checkpoint list"
_REPAIR: Final = 'try "jupyter flow check --repair"'


def _checked(unsealed: Unsealed, checkpoint_id: str) -> Checkpoint:
    head = unsealed.head
    # Ids are written into cells and addresses: a stranger's file must not say more than an id.
    if _ID.match(checkpoint_id) is None:
        raise ManifestDamaged("has a name that is no id")
    check_head(head)
    count, said = head["counts"]["variables"], unsealed.body
    if not unsealed.is_signed:
        # A stranger's may say anything; what was signed is what we have written.
        said = read_body(head, said)
        check_body(said)
        if len(said["variables"]) != count:
            raise ManifestDamaged("does not hold what it says")
    body = Body(head, said)
    found = summed_up(head, body, variable_count=count, is_trusted=unsealed.is_signed)
    if found.checkpoint_id != checkpoint_id:
        raise ManifestDamaged(f"belongs to checkpoint {str(found.checkpoint_id)[:40]}")
    return found
