"""Work that is done ahead comes out in order, and what fails in it fails the whole."""

import os
import random
import threading
from pathlib import Path

import pytest

from flow_kernel.errors import StoreError
from flow_kernel.store.snapshots import settling
from flow_kernel.store.snapshots import writer as writers
from flow_kernel.store.snapshots.ahead import ahead
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.settling import Settling
from flow_kernel.store.snapshots.writer import ChunkWriter, DigestWriter

DICE = random.Random(11)
PIECES = [DICE.randbytes(DICE.choice([10, 3_000, 70_000])) for _ in range(300)]


def threads() -> int:
    return sum(thread.name.startswith("flow-ahead") for thread in threading.enumerate())


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 300])
def test_results_come_in_the_order_of_the_pieces(count: int) -> None:
    assert list(ahead(str, range(count))) == list(map(str, range(count)))
    assert threads() == 0


@pytest.mark.parametrize("count", [10, 200])
def test_what_a_piece_raises_is_raised_where_its_result_is_due(count: int) -> None:
    results = ahead(lambda n: 60 // (n - 7), range(count))
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert threads() == 0


def test_pieces_are_drawn_little_by_little() -> None:
    drawn: list[int] = []
    results = ahead(abs, (drawn.append(n) or n for n in range(10_000)))  # type: ignore[func-returns-value]
    next(results)
    assert len(drawn) < 100
    results.close()
    assert threads() == 0


def test_many_pieces_are_kept_as_one_by_one(tmp_path: Path) -> None:
    pieces = [*PIECES, *PIECES[:50]]
    kept = []
    for name in ("one by one", "together"):
        where = tmp_path / name
        writer = ChunkWriter(where, Chunks(where), owner="s")
        if name == "together":
            digests = writer.put_all(pieces, is_code=False)
        else:
            digests = [writer.put(piece, is_code=False) for piece in pieces]
        writer.sync()
        writer.close()
        chunks = Chunks(where)
        chunks.refresh()
        assert [bytes(chunks.read(digest)) for digest in digests] == pieces
        kept.append((digests, [path.read_bytes() for path in sorted(where.iterdir())]))
    assert kept[0] == kept[1]
    assert DigestWriter().put_all(pieces) == kept[0][0]


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    chunks = Chunks(tmp_path)
    for expected in (sum(map(len, PIECES)), 0):
        writer = ChunkWriter(tmp_path, chunks, owner="s")
        writer.put_all(PIECES)
        writer.sync()
        writer.close()
        assert writer.bytes_new >= expected
        assert expected or not writer.bytes_new


def test_a_full_segment_that_the_disk_refuses_fails_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no disk here that refuses on demand: what it says is put in its place."""

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writers, "SEGMENT_BYTES", 100_000)
    chunks = Chunks(tmp_path)
    writer = ChunkWriter(tmp_path, chunks, owner="s")
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", refuse)
    writer.put_all(PIECES[:100])
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match="No space left"):
        writer.sync()
    writer.close()
    assert len(list(tmp_path.iterdir())) > 1
    assert not list(chunks), "nothing of it passes for written"


def test_every_full_segment_ends_with_its_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "SEGMENT_BYTES", 100_000)
    writer = ChunkWriter(tmp_path, Chunks(tmp_path), owner="s")
    digests = writer.put_all(PIECES)
    writer.sync()
    writer.close()
    chunks = Chunks(tmp_path)
    chunks.refresh()
    assert len(list(tmp_path.iterdir())) > 10
    assert all(chunks.is_marked(placed) for one in digests for placed in chunks.places(one))


def test_nothing_on_its_way_is_nothing_to_wait_for() -> None:
    assert not Settling().wait()


def test_a_name_is_on_the_disk_before_its_mark_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: dict[int, list[str]] = {}
    for name in ("sync_directory", "write_all"):
        work = getattr(settling, name)
        monkeypatch.setattr(
            settling,
            name,
            lambda *a, name=name, work=work: (
                done.setdefault(threading.get_ident(), []).append(name),
                work(*a),
            )[1],
        )
    monkeypatch.setattr(writers, "SEGMENT_BYTES", 100_000)
    writer = ChunkWriter(tmp_path, Chunks(tmp_path), owner="s")
    writer.put_all(PIECES[:20])
    writer.sync()
    writer.close()
    assert sum(map(len, done.values())) > 4
    for names in done.values():
        assert names == ["sync_directory", "write_all"] * (len(names) // 2)
