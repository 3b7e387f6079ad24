"""A disk that refuses anywhere: what was acknowledged stays, the rest is absent or complete."""

import errno
import os
import random
from pathlib import Path

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.session.checkpoints.checking import repair_checkpoints
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.pruning import prune
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.content import CHUNK_BYTES
from tests.session.shelves import contents, shelf_at, taken
from tests.store.failing import failing, short_writes

DICE = random.Random(13)
OLD = {"x": DICE.randbytes(5000), "y": b"common"}
NEW = {"x": DICE.randbytes(CHUNK_BYTES * 18), "y": b"common", "z": b"z" * 100_000}
ERRORS = [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.ENOMEM]
MOST_CALLS = 60


def fresh(root: Path) -> tuple[Shelf, list[Checkpoint]]:
    shelf = shelf_at(root)
    found = shelf.all()
    assert shelf.damaged == {}
    return shelf, found


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "link"])
def test_a_checkpoint_on_a_disk_that_refuses_is_absent_and_the_old_one_loads(
    tmp_path: Path, call: str, number: int
) -> None:
    """A disk that fails at its N-th call cannot be had for real; see `failing`."""
    old = taken(shelf_at(tmp_path), OLD)
    for fail_at in range(1, MOST_CALLS):
        writing = shelf_at(tmp_path)
        made, said = None, ""
        with failing(call, fail_at, number) as disk:
            try:
                made = taken(writing, NEW, seq=fail_at)
            except StoreError as error:
                said = str(error)
        shelf, found = fresh(tmp_path)
        assert contents(shelf, old) == OLD
        if made is None:
            assert disk.failed
            assert os.strerror(number) in said
            assert [one.checkpoint_id for one in found] == [old.checkpoint_id]
            continue
        # The shelf that was refused before knows of nothing that is not there.
        assert contents(shelf, made) == NEW
        assert not disk.failed
        return
    pytest.fail("never got through")


@pytest.mark.parametrize("call", ["open", "write", "fsync", "link"])
def test_the_same_session_goes_on_after_the_disk_refused(tmp_path: Path, call: str) -> None:
    """A disk that fails at its N-th call cannot be had for real; see `failing`."""
    shelf = shelf_at(tmp_path)
    for fail_at in range(1, MOST_CALLS):
        with failing(call, fail_at, errno.ENOSPC) as disk:
            try:
                taken(shelf, NEW, seq=fail_at)
            except StoreError:
                pass
        made = taken(shelf, NEW, seq=1000 + fail_at)
        assert contents(fresh(tmp_path)[0], made) == NEW
        if not disk.failed:
            return
        shelf.drop(made)
        for path in shelf.segments_dir.glob("*.seg"):
            path.unlink()
    pytest.fail("never got through")


@pytest.mark.parametrize("most_bytes", [1, 7, 4096])
def test_short_writes_are_continued_to_the_end(tmp_path: Path, most_bytes: int) -> None:
    with short_writes(most_bytes):
        made = taken(shelf_at(tmp_path), OLD)
    shelf, found = fresh(tmp_path)
    assert contents(shelf, made) == OLD
    assert found == [made]


@pytest.mark.parametrize("call", ["open", "write", "fsync", "unlink"])
def test_collecting_on_a_disk_that_refuses_loses_nothing(tmp_path: Path, call: str) -> None:
    """A disk that fails at its N-th call cannot be had for real; see `failing`."""
    for fail_at in range(1, MOST_CALLS):
        root = tmp_path / str(fail_at)
        shelf = shelf_at(root)
        taken(shelf, {"gone": DICE.randbytes(30_000)})
        kept = taken(shelf, OLD, seq=2)
        with failing(call, fail_at, errno.EIO) as disk:
            try:
                prune(shelf, keep=1, files=None)
            except OSError:  # of the file that says what a checkpoint was
                pass
        other, found = fresh(root)
        assert kept in found
        assert contents(other, kept) == OLD
        if not disk.failed:
            return
    pytest.fail("never got through")


@pytest.mark.parametrize("call", ["open", "write", "fsync", "unlink", "link"])
def test_a_repair_on_a_disk_that_refuses_loses_nothing(tmp_path: Path, call: str) -> None:
    """A disk that fails at its N-th call cannot be had for real; see `failing`."""
    for fail_at in range(1, MOST_CALLS):
        shelf = shelf_at(tmp_path / str(fail_at))
        hurt, kept = taken(shelf, {"x": DICE.randbytes(3000)}), taken(shelf, OLD, seq=2)
        spoiled = taken(shelf, {"y": b"common"}, seq=3)
        [path] = shelf.segments_dir.glob("*.seg")
        place = shelf.chunks.place(bytes.fromhex(hurt.groups[0].buffers[0].chunks[0]))
        assert place is not None
        flip(path, place.end - 1)
        flip(shelf.manifests_dir / f"{spoiled.checkpoint_id}.json", 50)
        with failing(call, fail_at, errno.EIO) as disk:
            try:
                repair_checkpoints(shelf_at(tmp_path / str(fail_at)))
            except (StoreError, OSError):
                pass
        other = shelf_at(tmp_path / str(fail_at))
        assert kept in other.all()
        assert contents(other, kept) == OLD
        assert [one.variables for one in other.verify(hurt)] == [("x",)]
        if not disk.failed:
            return
    pytest.fail("never got through")


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)
