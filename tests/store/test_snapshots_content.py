"""Long content as chunks: every byte comes back, and an edit costs one chunk and a list."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.store.snapshots.content import (
    CHUNK_BYTES,
    MOST_IN_PLACE,
    ListDamaged,
    listed,
    store_content,
)
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter

FULL = MOST_IN_PLACE * CHUNK_BYTES


def stored(where: Path, content: bytes | memoryview) -> tuple[dict[str, object], int]:
    """The part of some content, and what it cost on the disk."""
    chunks = Chunks(where)
    chunks.refresh()
    writer = ChunkWriter(where, chunks, owner="s")
    try:
        part = store_content(writer, content)
        writer.sync()
    finally:
        writer.close()
    return part, writer.bytes_new


def read(where: Path, part: dict[str, object]) -> bytes:
    chunks = Chunks(where)
    chunks.refresh()
    if "list" in part:
        digests = listed(chunks.read(bytes.fromhex(str(part["list"]))))
    else:
        names = part["chunks"]
        assert isinstance(names, list)
        digests = [bytes.fromhex(name) for name in names]
    return b"".join(bytes(chunks.read(digest)) for digest in digests)


@pytest.mark.parametrize(
    "nbytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, FULL, FULL + 1, FULL + 70_000]
)
def test_content_of_any_length_comes_back(tmp_path: Path, nbytes: int) -> None:
    content = random.Random(nbytes).randbytes(nbytes)
    part, _ = stored(tmp_path, content)
    assert part["nbytes"] == nbytes
    assert ("list" in part) == (nbytes > FULL)
    assert read(tmp_path, part) == content


def test_what_is_named_does_not_depend_on_what_holds_the_bytes(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(FULL + 8)
    words = memoryview(bytearray(content)).cast("Q")
    assert stored(tmp_path, content)[0] == stored(tmp_path, words)[0]


def test_an_edit_of_long_content_costs_one_chunk_and_its_list(tmp_path: Path) -> None:
    content = bytearray(random.Random(2).randbytes(64 * CHUNK_BYTES))
    stored(tmp_path, content)
    content[5_000_000] ^= 1
    part, cost = stored(tmp_path, content)
    assert CHUNK_BYTES < cost < CHUNK_BYTES + 64 * 32 + 1000
    assert read(tmp_path, part) == content


@given(st.binary(max_size=200))
def test_only_whole_digests_are_a_list(data: bytes) -> None:
    if data and len(data) % 32 == 0:
        assert b"".join(listed(data)) == data
    else:
        with pytest.raises(ListDamaged):
            listed(data)
