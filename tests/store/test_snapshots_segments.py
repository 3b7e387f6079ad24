"""Segments: few files, nothing behind a torn end, and nothing named that the disk may not hold."""

import os
import random
from pathlib import Path

import pytest

from flow_kernel.store.snapshots import writer as writers
from flow_kernel.store.snapshots.frame import MARK_BYTES
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter
from tests.opens import files_opened

DICE = random.Random(5)
LARGE = DICE.randbytes(1 << 20)


def opened(where: Path, *, owner: str = "s") -> ChunkWriter:
    chunks = Chunks(where)
    chunks.refresh()
    return ChunkWriter(where, chunks, owner=owner)


def written(where: Path, *contents: bytes, owner: str = "s") -> list[bytes]:
    writer = opened(where, owner=owner)
    try:
        digests = [writer.put(content) for content in contents]
        writer.sync()
    finally:
        writer.close()
    return digests


def names(where: Path) -> list[str]:
    """Owner and number of each segment; what makes their names unique is left out."""
    return sorted(path.stem.rpartition("-")[0] for path in where.iterdir())


def only(where: Path) -> Path:
    [path] = where.iterdir()
    return path


def read_all(where: Path, digests: list[bytes]) -> list[bytes]:
    chunks = Chunks(where)
    chunks.refresh()
    return [bytes(chunks.read(digest)) for digest in digests]


def test_a_hundred_checkpoints_of_one_session_are_one_file(tmp_path: Path) -> None:
    digests = [written(tmp_path, b"number %d" % n)[0] for n in range(100)]
    assert names(tmp_path) == ["s-000001"]
    assert read_all(tmp_path, digests) == [b"number %d" % n for n in range(100)]


def test_sessions_write_to_files_of_their_own(tmp_path: Path) -> None:
    written(tmp_path, b"one", owner="a")
    written(tmp_path, b"two", owner="a-b")
    written(tmp_path, b"three", owner="a")
    assert names(tmp_path) == ["a-000001", "a-b-000001"]


def test_nothing_is_added_behind_a_torn_end(tmp_path: Path) -> None:
    first = written(tmp_path, b"first", LARGE)
    path = only(tmp_path)
    for cut in (1, MARK_BYTES + 1):
        whole = path.read_bytes()
        path.write_bytes(whole[:-cut])
        written(tmp_path, b"cut %d" % cut)
        assert path.read_bytes() == whole[:-cut]
        path.write_bytes(whole)
    assert names(tmp_path) == ["s-000001", "s-000002"]
    assert read_all(tmp_path, first) == [b"first", LARGE]


@pytest.mark.parametrize("begun", [b"", b"FLOW", b"FLOWSEG1", b"another"])
def test_a_file_that_was_hardly_begun_is_left_alone(tmp_path: Path, begun: bytes) -> None:
    (tmp_path / "s-000001-00000000.seg").write_bytes(begun)
    assert read_all(tmp_path, written(tmp_path, b"first", b"second")) == [b"first", b"second"]
    assert names(tmp_path) == ["s-000001", "s-000002"]


def test_no_name_is_ever_given_twice(tmp_path: Path) -> None:
    chunks = Chunks(tmp_path)
    seen = set()
    for content in (b"one", b"two", b"one"):
        writer = ChunkWriter(tmp_path, chunks, owner="s")
        digest = writer.put(content)
        writer.sync()
        writer.close()
        seen.add(only(tmp_path).name)
        assert read_all(tmp_path, [digest]) == [content]
        only(tmp_path).unlink()
        chunks.refresh()
        assert digest not in chunks
    assert len(seen) == 3


def test_a_segment_that_is_full_or_in_use_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = opened(tmp_path)
    busy.put(b"one")
    busy.sync()
    written(tmp_path, b"two")
    assert names(tmp_path) == ["s-000001", "s-000002"]
    busy.close()
    monkeypatch.setattr(writers, "SEGMENT_BYTES", 1000)
    written(tmp_path, LARGE, b"behind it")
    assert names(tmp_path) == ["s-000001", "s-000002", "s-000003"]


def test_a_segment_that_was_deleted_meanwhile_is_begun_anew(tmp_path: Path) -> None:
    written(tmp_path, b"one")
    writer = opened(tmp_path)
    only(tmp_path).unlink()
    digest = writer.put(b"two")
    writer.sync()
    writer.close()
    assert read_all(tmp_path, [digest]) == [b"two"]


def test_the_lock_of_a_writer_that_was_killed_is_free(tmp_path: Path) -> None:
    written(tmp_path, b"one")
    pid = os.fork()
    if pid == 0:
        opened(tmp_path).put(b"never synced")
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    written(tmp_path, b"two")
    assert names(tmp_path) == ["s-000001"]


def unmarked(where: Path) -> Path:
    """A segment whose writer was killed before it had brought its frame to the disk."""
    written(where, LARGE)
    path = only(where)
    path.write_bytes(path.read_bytes()[:-MARK_BYTES])
    return path


def test_what_another_writer_left_unsynced_is_brought_to_the_disk_before_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power loss cannot be had for real, so the calls that survive one are watched."""
    path = unmarked(tmp_path)
    synced: list[int] = []
    real = os.fsync

    def watched(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", watched)
    written(tmp_path, LARGE, owner="other")
    assert path.stat().st_ino in synced
    assert names(tmp_path) == ["s-000001"]


def test_a_frame_whose_bytes_never_reached_the_disk_is_written_again(tmp_path: Path) -> None:
    path = unmarked(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    assert read_all(tmp_path, written(tmp_path, LARGE, owner="other")) == [LARGE]
    assert names(tmp_path) == ["other-000001", "s-000001"]


def test_looking_for_news_opens_no_file_when_there_are_none(tmp_path: Path) -> None:
    for owner in ("a", "b", "torn"):
        written(tmp_path, owner.encode() * 100, owner=owner)
    [torn] = tmp_path.glob("torn-*.seg")
    torn.write_bytes(torn.read_bytes()[:-1])
    chunks = Chunks(tmp_path)
    chunks.refresh()
    with files_opened() as read:
        chunks.refresh()
    assert read == []
