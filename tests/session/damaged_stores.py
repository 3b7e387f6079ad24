"""A small store with every kind of record, damaged at random, and what may be said of it then.

Called by `test_checkpoint_damage`.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots import codec, content
from flow_kernel.store.snapshots.fast import HAS_ZSTD
from flow_kernel.store.snapshots.frame import MARK_BYTES
from flow_kernel.store.snapshots.scan import Found, Marked, scan
from tests.session.shelves import contents, shelf_at, taken

DICE: Final = random.Random(17)
RAW: Final = DICE.randbytes(900)
LISTED: Final = DICE.randbytes(20 * 512)
SOFT: Final = b"soft and compressible, " * 60
VALUES: Final[dict[str, dict[str, bytes]]] = {
    "first": {"raw": RAW, "common": b"common" * 20},
    "second": {"soft": SOFT, "common": b"common" * 20},
    "third": {"listed": LISTED, "raw": RAW, "tiny": b"1"},
}
KINDS: Final = (
    "head",
    "body",
    "signature",
    "magic",
    "header",
    "raw",
    "zlib",
    *(["zstd"] if HAS_ZSTD else []),
    "list",
    "mark",
    "cut manifest",
    "cut segment",
)
FLIPS: Final = (1, 2, 8)


@contextmanager
def small_chunks() -> Iterator[None]:
    """Chunks of 512 bytes, so that a part with a list is a small one."""
    before = content.CHUNK_BYTES
    content.CHUNK_BYTES = 512  # type: ignore[misc]  # on purpose
    try:
        yield
    finally:
        content.CHUNK_BYTES = before  # type: ignore[misc]  # as it was


@contextmanager
def without_zstd() -> Iterator[None]:
    """Packs with zlib, as where zstandard is not installed."""
    before = codec.HAS_ZSTD
    codec.HAS_ZSTD = False  # type: ignore[misc]  # on purpose
    try:
        yield
    finally:
        codec.HAS_ZSTD = before  # type: ignore[misc]  # as it was


@dataclass(frozen=True)
class Spot:
    """Bytes of one kind.

    Attributes:
        path: Their file.
        start: Of the first.
        end: Behind the last.
        digest: The chunk whose frame they are in, if any.
    """

    path: Path
    start: int
    end: int
    digest: bytes | None = None


class DamagedStore:
    """A store that is damaged and made whole again, many times.

    Args:
        root: Its home.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        shelf = shelf_at(root)
        self.checkpoints: dict[str, Checkpoint] = {}
        with small_chunks():
            for seq, (name, values) in enumerate(VALUES.items()):
                made = taken(shelf, values, name=name, seq=seq, owner=name)
                self.checkpoints[name] = made
            with without_zstd():
                values = {"packed": SOFT + b"by zlib"}
                self.checkpoints["fourth"] = taken(shelf, values, name="fourth", seq=9, owner="z")
        self.values = {**VALUES, "fourth": values}
        self.needs = {
            name: {
                group.names[0]: frozenset(
                    digest
                    for part in (group.stream, *group.buffers)
                    for digest in shelf.needed_by(part)
                )
                for group in one.groups
            }
            for name, one in self.checkpoints.items()
        }
        self.manifests = {
            name: shelf.manifests_dir / f"{one.checkpoint_id}.json"
            for name, one in self.checkpoints.items()
        }
        self._lists = {
            bytes.fromhex(part.chunk_list)
            for one in self.checkpoints.values()
            for part in one.body.parts()
            if part.chunk_list is not None
        }
        self.spots: dict[str, list[Spot]] = {kind: [] for kind in KINDS}
        for path in sorted(shelf.segments_dir.glob("*.seg")):
            self._note_segment(path)
        for path in self.manifests.values():
            self._note_manifest(path)
        assert all(self.spots.values()), self.spots

    def _note_segment(self, path: Path) -> None:
        data = path.read_bytes()
        self.spots["magic"].append(Spot(path, 0, 8))
        self.spots["cut segment"].append(Spot(path, 0, len(data)))
        for piece in scan(data):
            if isinstance(piece, Marked):
                self.spots["mark"].append(Spot(path, piece.offset, piece.offset + MARK_BYTES))
            elif isinstance(piece, Found):
                header = piece.header
                start = piece.offset + header.head_bytes
                self.spots["header"].append(Spot(path, piece.offset, start, header.digest))
                kind = ("raw", "zlib", "zstd")[header.codec]
                if header.digest in self._lists:
                    kind = "list"
                self.spots[kind].append(Spot(path, start, piece.end, header.digest))

    def _note_manifest(self, path: Path) -> None:
        data = path.read_bytes()
        first = data.index(b"\n") + 1
        second = data.index(b"\n", first) + 1
        self.spots["head"].append(Spot(path, 0, first))
        self.spots["body"].append(Spot(path, first, second))
        self.spots["signature"].append(Spot(path, second, len(data)))
        self.spots["cut manifest"].append(Spot(path, 0, len(data)))

    def trial(self, kind: str, dice: random.Random) -> None:
        """Damage one spot, look, and make it whole again."""
        spot = dice.choice(self.spots[kind])
        whole = spot.path.read_bytes()
        if kind.startswith("cut"):
            damaged = whole[: dice.randrange(spot.start, spot.end)]
        else:
            changed = bytearray(whole)
            for _ in range(dice.choice(FLIPS)):
                changed[dice.randrange(spot.start, spot.end)] ^= 1 << dice.randrange(8)
            damaged = bytes(changed)
        spot.path.write_bytes(damaged)
        try:
            self._look(kind, spot, damaged, is_whole=damaged == whole)
        finally:
            spot.path.write_bytes(whole)

    def _look(self, kind: str, spot: Spot, damaged: bytes, *, is_whole: bool) -> None:
        hurt = self._hurt(kind, spot, damaged, is_whole=is_whole)
        shelf = shelf_at(self.root)
        listed = {one.checkpoint_id: one for one in shelf.all()}
        for name, made in self.checkpoints.items():
            if spot.path == self.manifests[name] and made.checkpoint_id not in listed:
                # Named, and nothing of it is believed; a flip may also undo itself.
                assert made.checkpoint_id in shelf.damaged
                continue
            self._read(kind, shelf, listed[made.checkpoint_id], name, hurt)
        if spot.path not in self.manifests.values():
            assert shelf.damaged == {}

    def _hurt(self, kind: str, spot: Spot, damaged: bytes, *, is_whole: bool) -> frozenset[bytes]:
        """The chunks that the damage has cost."""
        if kind == "cut segment":
            before = {piece.header.digest for piece in scan(damaged) if isinstance(piece, Found)}
            return frozenset(
                one.digest
                for one in self.spots["header"]
                if one.digest is not None and one.path == spot.path and one.digest not in before
            )
        if is_whole or spot.digest is None:
            return frozenset()
        return frozenset([spot.digest])

    def _read(
        self, kind: str, shelf: Shelf, one: Checkpoint, name: str, hurt: frozenset[bytes]
    ) -> None:
        made = self.checkpoints[name]
        assert one.is_trusted
        assert (one.item(), one.groups) == (made.item(), made.groups)
        trouble = shelf.verify(one)
        named = {variable for each in trouble for variable in each.variables}
        expected = {variable for variable, needed in self.needs[name].items() if needed & hurt}
        # A bit that a packed stream does not use changes nothing: then the content says so.
        assert named == expected or (kind in ("zlib", "zstd") and not named)
        assert all(each.checkpoint_id == one.checkpoint_id for each in trouble)
        for group in one.groups:
            [variable] = group.names
            if variable not in named:
                found = contents(shelf, one, only=variable)
                assert found == {variable: self.values[name][variable]}
