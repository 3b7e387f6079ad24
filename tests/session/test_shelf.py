"""The shelf: checkpoints are found, read and verified by any process, and never executed."""

import random
from pathlib import Path

from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.collect import collect
from flow_kernel.store.snapshots.content import CHUNK_BYTES
from tests.session.shelves import shelf_at, taken

LONG = random.Random(1).randbytes(20 * CHUNK_BYTES + 5)
VALUES = {"long": LONG, "short": b"short"}


def contents(shelf: Shelf, checkpoint: Checkpoint) -> dict[str, bytes]:
    return {group.names[0]: bytes(shelf.content(group.buffers[0])) for group in checkpoint.groups}


def test_long_and_short_content_comes_back_in_another_process(tmp_path: Path) -> None:
    taken(shelf_at(tmp_path), VALUES)
    other = shelf_at(tmp_path)
    [found] = other.all()
    assert other.verify(found) == []
    assert contents(other, found) == VALUES


def test_collecting_keeps_lists_and_what_they_name(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    taken(shelf, VALUES)
    gone = taken(shelf, {"gone": random.Random(2).randbytes(40 * CHUNK_BYTES)}, seq=2)
    shelf.drop(gone)
    assert collect(shelf.segments_dir, shelf.reachable()) > 40 * CHUNK_BYTES
    other = shelf_at(tmp_path)
    [kept] = other.all()
    assert other.verify(kept) == []
    assert contents(other, kept) == VALUES


def test_a_lost_list_is_named_with_its_variables(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    found = taken(shelf, VALUES)
    part = found.groups[0].buffers[0]
    assert part.chunk_list is not None
    [path] = shelf.segments_dir.glob("*.seg")
    place = shelf.chunks.place(bytes.fromhex(part.chunk_list))
    assert place is not None
    data = bytearray(path.read_bytes())
    data[place.offset + 100] ^= 1
    path.write_bytes(data)
    [trouble] = shelf_at(tmp_path).verify(found)
    assert (trouble.checkpoint_id, trouble.variables) == (found.checkpoint_id, ("long",))
