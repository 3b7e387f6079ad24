"""Whether the checkpoints of a home are as they were written, and what is left of damaged ones.

Called by `apps.check`. No saved value is loaded.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flow_kernel.errors import CheckpointDamaged
from flow_kernel.records.verdict import Damage
from flow_kernel.session.checkpoints.checkpoint import Checkpoint, Part
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.files.table import named_chunks
from flow_kernel.store.snapshots.manifests import SUFFIX
from flow_kernel.store.snapshots.salvage import salvage, set_aside
from flow_kernel.store.snapshots.segments import ChunkLost
from flow_kernel.store.snapshots.survey import Survey, survey


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found.

    Attributes:
        checkpoints: Manifests that are whole.
        segments: Files that hold content.
        torn: Ends of writers that were killed; no damage.
        unneeded_bytes: Content that no checkpoint needs; no damage, `prune` frees it.
        damaged: What is wrong, with the checkpoints and variables that it concerns.
    """

    checkpoints: int
    segments: int
    torn: int
    unneeded_bytes: int
    damaged: list[Damage]

    def as_json(self) -> dict[str, int]:
        """The figures, for programs."""
        return {
            "checkpoints": self.checkpoints,
            "segments": self.segments,
            "torn": self.torn,
            "unneeded_bytes": self.unneeded_bytes,
        }


class User(NamedTuple):
    """Variables or a file of a checkpoint, which need a chunk."""

    checkpoint_id: str
    names: str

    def __str__(self) -> str:
        return f"checkpoint {self.checkpoint_id}: {self.names}"


Users = Mapping[bytes, list[User]]


def check_checkpoints(shelf: Shelf) -> Checked:
    """Look at every byte; about a second for a gigabyte."""
    seen = survey(shelf.segments_dir)
    shelf.chunks.refresh()
    known = shelf.all()
    damaged = [
        _at(_manifest(shelf, one), f"checkpoint {one}: its manifest {why}")
        for one, why in sorted(shelf.damaged.items())
    ]
    users: dict[bytes, list[User]] = defaultdict(list)
    needed: set[bytes] = set()
    for one in known:
        try:
            for names, part in _parts(one):
                for digest in _chunks(shelf, part):
                    needed.add(digest)
                    if digest not in seen.whole:
                        users[digest].append(User(one.checkpoint_id, names))
            for name, digest in named_chunks(one.files, shelf.chunks.read):
                needed.add(digest)
                if digest not in seen.whole:
                    users[digest].append(User(one.checkpoint_id, name))
        except CheckpointDamaged as error:
            damaged.append(_at(_manifest(shelf, one.checkpoint_id), error.message))
    damaged += _in_segments(seen, users)
    at_place = {damage.digest for damage in seen.damages}
    damaged += [
        _at(
            _manifest(shelf, user.checkpoint_id),
            f"{user}: chunk {digest.hex()[:16]} is in no segment",
        )
        for digest in users
        if digest not in at_place
        for user in dict.fromkeys(users[digest])
    ]
    return Checked(
        checkpoints=len(known),
        segments=seen.segments,
        torn=seen.torn,
        unneeded_bytes=sum(size for digest, size in seen.whole.items() if digest not in needed),
        damaged=damaged,
    )


def repair_checkpoints(shelf: Shelf) -> list[Path]:
    """Set aside what is damaged; the rest can be used as before. Returns the files it lies in.

    A manifest that a newer version has written is no damage, and stays.

    Raises:
        StoreError: Somebody is writing, or the disk refuses; nothing was lost.
    """
    moved = salvage(shelf.segments_dir)
    shelf.all()
    moved += [set_aside(_manifest(shelf, one)) for one in sorted(shelf.spoiled)]
    shelf.chunks.refresh()
    return moved


def _in_segments(seen: Survey, users: Users) -> Iterator[Damage]:
    for damage in seen.damages:
        whose = dict.fromkeys(map(str, users.get(damage.digest or b"", ())))
        said = damage.reason
        if damage.digest is not None:
            said = f"chunk {damage.digest.hex()[:16]}: {said}"
        said = f"{'; '.join(whose)}: {said}" if whose else said
        yield Damage(file=damage.path, line=0, offset=damage.offset, reason=said)


def _parts(one: Checkpoint) -> Iterator[tuple[str, Part]]:
    for group in one.groups:
        names = ", ".join(group.names)
        yield names, group.stream
        for part in group.buffers:
            yield names, part


def _chunks(shelf: Shelf, part: Part) -> list[bytes]:
    """The chunks of a part and its list; of a list that is lost, the list alone."""
    if part.chunk_list is None:
        return shelf.digests(part)
    listing = bytes.fromhex(part.chunk_list)
    try:
        return [listing, *shelf.digests(part)]
    except ChunkLost:
        return [listing]


def _manifest(shelf: Shelf, checkpoint_id: str) -> Path:
    return shelf.manifests_dir / f"{checkpoint_id}{SUFFIX}"


def _at(path: Path, reason: str) -> Damage:
    return Damage(file=path, line=0, offset=0, reason=reason)
