"""What lies in memory is what was written, byte by byte, or it is said where it is not."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from flow_kernel.records.beside import GivenUp, Stop
from flow_kernel.store.snapshots import fast, segments
from flow_kernel.store.snapshots.content import CHUNK_BYTES, pieces_of
from flow_kernel.store.snapshots.proving import Numbered, unproven
from flow_kernel.store.snapshots.reading import read_into
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter

FEW, MANY = 3 * CHUNK_BYTES + 10, 65 * CHUNK_BYTES + 10


def stored(where: Path, content: bytes) -> tuple[Chunks, list[bytes]]:
    chunks = Chunks(where)
    writer = ChunkWriter(where, chunks, owner="s")
    try:
        digests = writer.put_all(pieces_of(content), is_code=False)
        writer.sync()
    finally:
        writer.close()
    chunks.refresh()
    return chunks, digests


@pytest.fixture(params=["as it is", "no xxhash now", "no xxhash then"])
def content_of(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], tuple[bytearray, Chunks, list[Numbered]]]:
    """Content of some length: in memory, in the store, and how it is named there."""

    def make(nbytes: int) -> tuple[bytearray, Chunks, list[Numbered]]:
        memory = bytearray(random.Random(nbytes).randbytes(nbytes))
        with monkeypatch.context() as patch:
            if request.param == "no xxhash then":
                patch.setattr(fast, "_xxh3_128", None)
            chunks, digests = stored(tmp_path, bytes(memory))
        if request.param == "no xxhash now":
            monkeypatch.setattr(fast, "_xxh3_128", None)
        return memory, chunks, list(enumerate(digests))

    return make


Content = Callable[[int], tuple[bytearray, Chunks, list[Numbered]]]


@pytest.mark.parametrize("nbytes", [FEW, MANY])
def test_each_byte_that_differs_is_found(content_of: Content, nbytes: int) -> None:
    memory, chunks, numbered = content_of(nbytes)
    assert unproven(chunks, numbered, memoryview(memory)) == []
    for number, place in ((0, 0), (1, 2 * CHUNK_BYTES - 1), (len(numbered) - 1, nbytes - 1)):
        memory[place] ^= 1
        assert unproven(chunks, numbered, memoryview(memory)) == [number]
        memory[place] ^= 1


def test_only_what_is_asked_for_is_looked_at(content_of: Content) -> None:
    memory, chunks, numbered = content_of(FEW)
    memory[0] ^= 1
    assert unproven(chunks, numbered[1:], memoryview(memory)) == []


def test_what_is_in_no_segment_is_known_by_its_digest(content_of: Content, tmp_path: Path) -> None:
    memory, _, numbered = content_of(FEW)
    nowhere = Chunks(tmp_path / "empty")
    assert unproven(nowhere, numbered, memoryview(memory)) == []
    memory[-1] ^= 1
    assert unproven(nowhere, numbered, memoryview(memory)) == [len(numbered) - 1]


@pytest.mark.parametrize("nbytes", [FEW, MANY])
def test_what_nobody_waits_for_is_not_read(tmp_path: Path, nbytes: int) -> None:
    content = random.Random(1).randbytes(nbytes)
    chunks, digests = stored(tmp_path, content)
    target, stop = bytearray(nbytes), Stop()
    read_into(chunks, digests, memoryview(target), is_code=False, stop=stop)
    assert target == content
    stop.is_set = True
    target = bytearray(nbytes)
    with pytest.raises(GivenUp):
        read_into(chunks, digests, memoryview(target), is_code=False, stop=stop)
    assert not any(target)


def test_what_is_left_can_be_looked_up_while_what_is_gone_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads at the same line cannot be had; whoever is asked in between stands for one."""
    chunks, (digest,) = stored(tmp_path, b"stays")
    gone = tmp_path / "gone.seg"
    seen: list[bool] = []
    take = segments._take

    def looked(*arguments: object) -> None:
        seen.append(chunks.place(digest) is not None)
        take(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(segments, "_take", looked)
    chunks._forget([gone])
    assert seen == [True]
    assert chunks.place(digest) is not None
