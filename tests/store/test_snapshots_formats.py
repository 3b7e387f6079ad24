"""Formats and fast paths of chunks: with the extras or without, of this version or the first."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from flow_kernel.store.snapshots.codec import RAW, ZLIB, ZSTD
from flow_kernel.store.snapshots.fast import HAS_FAST, HAS_ZSTD, fast_hash
from flow_kernel.store.snapshots.frame import SEGMENT_MAGIC, digest_of, mark, pack
from flow_kernel.store.snapshots.reading import read_content
from flow_kernel.store.snapshots.segments import ChunkLost, Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter, DigestWriter

DICE = random.Random(7)
RANDOM = [DICE.randbytes(256 * 1024) for _ in range(20)]
MIXED = [*RANDOM, b"a" * 300_000, b"", b"tiny", bytes(256 * 1024), *RANDOM[:3]]
FORMAT_1 = bytes.fromhex(
    "464c4f575345473143484e4b000000000000000003000000000000000300000000000000d01c06cb09606bc4b2ce"
    "df4266a3a20e1e636b467cb77a9dbed595094e02ea46f1866c7a70b9381e6f6e6543484e4b010000000000000"
    "01b000000000000008000000000000000d2f6c2d4fb4ee1504ac2d117fc79a77ad5afee5d6eeb006314d82bbdc700"
    "c00e0113452222e3ebe178016360646266616563e7e0e4e2e6e1e5e367a0331f00e7c003c1"
)
"""A segment as the first format had it: one raw and one packed frame."""
OF_FORMAT_1 = [b"one", bytes(range(16)) * 8]
WITHOUT_EXTRAS = """
import sys
sys.modules["xxhash"] = sys.modules["zstandard"] = None
from pathlib import Path
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter
where = Path(sys.argv[1])
chunks = Chunks(where)
chunks.refresh()
if sys.argv[2] == "write":
    writer = ChunkWriter(where, chunks, owner="plain")
    for n in range(3):
        print(writer.put(bytes([n]) * 300_000, is_code=False).hex())
    writer.sync()
    writer.close()
else:
    for digest in sys.argv[3:]:
        try:
            print(chunks.read(bytes.fromhex(digest), is_code=False)[:4].hex())
        except LookupError as error:
            print(error)
"""


def plain(where: Path, *arguments: str) -> list[str]:
    """What a process without the extras prints."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS, str(where), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def chunks_of(where: Path) -> Chunks:
    chunks = Chunks(where)
    chunks.refresh()
    return chunks


def written(where: Path, contents: list[bytes], *, is_code: bool, owner: str = "s") -> list[bytes]:
    writer = ChunkWriter(where, chunks_of(where), owner=owner)
    try:
        digests = [writer.put(content, is_code=is_code) for content in contents]
        writer.sync()
    finally:
        writer.close()
    return digests


def needs_extras() -> None:
    if not (HAS_FAST and HAS_ZSTD):
        pytest.skip('needs pip install "flow_kernel[checkpoint]"')


def test_segments_of_the_first_format_are_read_and_not_written_again(tmp_path: Path) -> None:
    (tmp_path / "old-000001.seg").write_bytes(FORMAT_1)
    chunks = chunks_of(tmp_path)
    digests = [digest_of(content) for content in OF_FORMAT_1]
    assert [bytes(chunks.read(digest)) for digest in digests] == OF_FORMAT_1
    assert read_content(chunks, digests, 131, is_code=False) == b"".join(OF_FORMAT_1)
    assert written(tmp_path, OF_FORMAT_1, is_code=False) == digests
    assert [path.name for path in tmp_path.iterdir()] == ["old-000001.seg"]


def test_what_is_written_without_the_extras_is_read_with_them(tmp_path: Path) -> None:
    digests = [bytes.fromhex(line) for line in plain(tmp_path, "write")]
    chunks = chunks_of(tmp_path)
    assert [placed.header.fast for placed in chunks] == [None] * 3
    assert [placed.header.codec for placed in chunks] == [ZLIB] * 3
    for n, digest in enumerate(digests):
        assert chunks.read(digest, is_code=False) == bytes([n]) * 300_000


def test_without_the_extras_all_is_read_but_what_zstd_has_packed(tmp_path: Path) -> None:
    needs_extras()
    digests = written(tmp_path, [RANDOM[0], b"a" * 300_000], is_code=False)
    codecs = {placed.header.digest: placed.header.codec for placed in chunks_of(tmp_path)}
    assert [codecs[digest] for digest in digests] == [RAW, ZSTD]
    first, second = plain(tmp_path, "read", *(digest.hex() for digest in digests))
    assert first == RANDOM[0][:4].hex()
    assert second.endswith('packed with zstd, which is not here: pip install "zstandard"')


@pytest.mark.parametrize("is_code", [True, False])
def test_content_of_many_chunks_is_one_piece_of_writable_memory(
    tmp_path: Path, is_code: bool
) -> None:
    digests = written(tmp_path, MIXED, is_code=is_code)
    whole = b"".join(MIXED)
    found = read_content(chunks_of(tmp_path), digests, len(whole), is_code=is_code)
    assert found == whole
    found[0] ^= 1


@pytest.mark.parametrize("is_code", [True, False])
def test_a_flipped_bit_anywhere_in_long_content_is_refused(tmp_path: Path, is_code: bool) -> None:
    digests = written(tmp_path, MIXED, is_code=is_code)
    [path] = tmp_path.glob("*.seg")
    original, nbytes = path.read_bytes(), sum(map(len, MIXED))
    for placed in chunks_of(tmp_path):
        if not placed.header.stored_bytes:
            continue
        damaged = bytearray(original)
        damaged[placed.offset + placed.header.head_bytes + DICE.randrange(3)] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ChunkLost, match=placed.header.digest.hex()[:16]):
            read_content(chunks_of(tmp_path), digests, nbytes, is_code=is_code)


def test_content_of_another_length_than_promised_is_refused_before_memory_is_asked_for(
    tmp_path: Path,
) -> None:
    [digest] = written(tmp_path, [b"content"], is_code=False)
    with pytest.raises(ChunkLost, match="not as long"):
        read_content(chunks_of(tmp_path), [digest], 1 << 60, is_code=False)
    with pytest.raises(ChunkLost, match="in no segment"):
        read_content(chunks_of(tmp_path), [bytes(32)], 1 << 60, is_code=False)


def test_a_damaged_chunk_is_read_from_where_it_lies_a_second_time(tmp_path: Path) -> None:
    one, other = Chunks(tmp_path), Chunks(tmp_path)  # neither knows of what the other writes
    for owner, chunks in (("a", one), ("b", other)):
        writer = ChunkWriter(tmp_path, chunks, owner=owner)
        digest = writer.put(RANDOM[0], is_code=False)
        writer.sync()
        writer.close()
    [path] = tmp_path.glob("a-*.seg")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    chunks = chunks_of(tmp_path)
    assert len(chunks.places(digest)) == 2
    assert chunks.read(digest) == RANDOM[0]
    assert read_content(chunks, [digest], len(RANDOM[0]), is_code=False) == RANDOM[0]


def test_no_foreign_segment_can_pass_its_code_for_that_of_the_user(tmp_path: Path) -> None:
    evil, ours = b"code of a thief!", b"code of the user"
    head, stored = pack(evil, digest_of(evil), fast_hash(ours))
    (tmp_path / "foreign-000001.seg").write_bytes(SEGMENT_MAGIC + head + bytes(stored))
    assert written(tmp_path, [ours], is_code=True) == [digest_of(ours)]


def test_known_buffers_are_named_without_being_hashed_with_care(tmp_path: Path) -> None:
    needs_extras()
    content = RANDOM[1]
    # A header that lies about its digest shows which of the two hashes was asked.
    head, stored = pack(content, digest_of(b"another"), fast_hash(content))
    segment = SEGMENT_MAGIC + head + bytes(stored)
    (tmp_path / "s-000001.seg").write_bytes(segment + mark(len(segment)))
    assert written(tmp_path, [content], is_code=False) == [digest_of(b"another")]
    assert DigestWriter(chunks_of(tmp_path)).put(content, is_code=False) == digest_of(b"another")
    assert DigestWriter(chunks_of(tmp_path)).put(content) == digest_of(content)
    assert DigestWriter().put(content, is_code=False) == digest_of(content)


def test_a_header_that_changed_after_it_was_read_is_refused(tmp_path: Path) -> None:
    [digest] = written(tmp_path, [RANDOM[2]], is_code=False)
    chunks = chunks_of(tmp_path)
    placed = chunks.place(digest)
    assert placed is not None
    data = bytearray(placed.path.read_bytes())
    forged = pack(RANDOM[3], digest_of(RANDOM[3]), fast_hash(RANDOM[3]))
    data[placed.offset :] = forged[0] + bytes(forged[1])
    placed.path.write_bytes(data)
    for is_code in (True, False):
        with pytest.raises(ChunkLost, match="another frame"):
            chunks.read(digest, is_code=is_code)
        with pytest.raises(ChunkLost, match="another frame"):
            read_content(chunks, [digest], len(RANDOM[2]), is_code=is_code)
