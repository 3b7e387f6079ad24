"""Chunks and manifests: what was acknowledged is read back as it was, or refused by name."""

import errno
import os
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import StoreError
from flow_kernel.store.snapshots import files, manifests
from flow_kernel.store.snapshots.codec import ZLIB
from flow_kernel.store.snapshots.fast import fast_hash
from flow_kernel.store.snapshots.frame import (
    HEADER_BYTES,
    MARK_BYTES,
    FrameDamaged,
    digest_of,
    is_mark,
    pack,
    read_header,
    unpack,
)
from flow_kernel.store.snapshots.segments import ChunkLost, Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter

KEY = b"k" * 32
CONTENTS = [b"", b"one", b"two" * 1000, bytes(300_000), random.Random(1).randbytes(1 << 20)]


def written(where: Path, contents: list[bytes], *, owner: str = "s") -> list[bytes]:
    chunks = Chunks(where)
    chunks.refresh()
    return put_all(ChunkWriter(where, chunks, owner=owner), contents)


def put_all(target: ChunkWriter, contents: list[bytes]) -> list[bytes]:
    try:
        digests = [target.put(content) for content in contents]
        target.sync()
    finally:
        target.close()
    return digests


def read_all(where: Path, digests: list[bytes]) -> list[bytes | None]:
    """Each content, or None where it is refused."""
    chunks = Chunks(where)
    chunks.refresh()
    found: list[bytes | None] = []
    for digest in digests:
        try:
            found.append(bytes(chunks.read(digest)))
        except ChunkLost:
            found.append(None)
    return found


def test_chunks_are_read_back_in_another_process(tmp_path: Path) -> None:
    digests = written(tmp_path, CONTENTS)
    assert read_all(tmp_path, digests) == CONTENTS
    assert [path.stat().st_mode & 0o777 for path in tmp_path.glob("*.seg")] == [0o600]


def test_what_another_process_deleted_is_written_again(tmp_path: Path) -> None:
    chunks = Chunks(tmp_path)
    put_all(ChunkWriter(tmp_path, chunks, owner="s"), CONTENTS)
    for path in tmp_path.glob("*.seg"):
        path.unlink()
    chunks.refresh()
    digests = put_all(ChunkWriter(tmp_path, chunks, owner="s"), CONTENTS)
    assert read_all(tmp_path, digests) == CONTENTS


def test_equal_content_is_written_once_whoever_writes(tmp_path: Path) -> None:
    written(tmp_path, CONTENTS)
    size = sum(path.stat().st_size for path in tmp_path.glob("*.seg"))
    written(tmp_path, CONTENTS, owner="other")
    assert sum(path.stat().st_size for path in tmp_path.glob("*.seg")) == size


def test_a_reader_sees_what_is_written_later(tmp_path: Path) -> None:
    chunks = Chunks(tmp_path)
    chunks.refresh()
    [digest] = written(tmp_path, [b"later"])
    assert digest not in chunks
    chunks.refresh()
    assert bytes(chunks.read(digest)) == b"later"


def test_a_deleted_segment_takes_its_chunks_along(tmp_path: Path) -> None:
    [digest] = written(tmp_path, [b"gone"])
    chunks = Chunks(tmp_path)
    chunks.refresh()
    next(tmp_path.glob("*.seg")).unlink()
    with pytest.raises(ChunkLost):
        chunks.read(digest)
    chunks.refresh()
    assert digest not in chunks


@given(st.binary(max_size=2000))
def test_a_frame_holds_any_content(content: bytes) -> None:
    head, stored = pack(content, digest_of(content), fast_hash(content))
    assert bytes(unpack(read_header(head), bytes(stored))) == content


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bits_are_refused_and_cost_only_their_chunk(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    contents = [b"small" * 7, dice.randbytes(500), bytes(4000), b"last"]
    digests = written(tmp_path, contents)
    [path] = tmp_path.glob("*.seg")
    original = path.read_bytes()
    for _ in range(50):
        damaged = bytearray(original)
        for _ in range(dice.choice([1, 2, 8])):
            damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        found = read_all(tmp_path, digests)
        assert all(
            one is None or one == content for one, content in zip(found, contents, strict=True)
        )
        first = (
            next(i for i in range(len(original)) if original[i] != damaged[i])
            if (bytes(damaged) != original)
            else len(original)
        )
        whole = [head_end for head_end in frame_ends(original) if head_end <= first]
        assert found[: len(whole)] == contents[: len(whole)]


def frame_ends(data: bytes) -> list[int]:
    ends, at = [], len(b"FLOWSEG1")
    while at < len(data):
        if is_mark(data[at : at + MARK_BYTES], at):
            at += MARK_BYTES
            continue
        at += read_header(data[at : at + HEADER_BYTES]).frame_bytes
        ends.append(at)
    return ends


def test_a_segment_cut_anywhere_keeps_its_whole_frames(tmp_path: Path) -> None:
    contents = [b"first" * 5, b"second" * 9, b"third"]
    digests = written(tmp_path, contents)
    [path] = tmp_path.glob("*.seg")
    original = path.read_bytes()
    ends = frame_ends(original)
    for length in range(len(original)):
        path.write_bytes(original[:length])
        whole = sum(end <= length for end in ends)
        assert read_all(tmp_path, digests) == [*contents[:whole], *[None] * (3 - whole)]


def test_a_frame_that_promises_little_and_unpacks_to_much_is_refused() -> None:
    content = b"x"
    bomb = zlib.compress(bytes(10_000_000))
    head, _ = pack(content, digest_of(content), None)
    forged = replace(read_header(head), codec=ZLIB, stored_bytes=len(bomb))
    with pytest.raises(FrameDamaged, match="content is 2 bytes long, not 1"):
        unpack(forged, bomb)


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EMFILE])
def test_a_disk_that_refuses_at_any_call_loses_nothing_older(
    tmp_path: Path, call: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails at its N-th call cannot be had for real, so the call itself fails."""
    kept = written(tmp_path, [b"kept" * 100])
    for fail_at in range(1, 8):
        failed = fails_at(monkeypatch, call, fail_at, number)
        try:
            written(tmp_path, [b"new" * 100, bytes([fail_at]) * 2_000_000], owner=f"w{fail_at}")
        except StoreError as refused:
            said = str(refused)
        else:
            said = ""
        finally:
            monkeypatch.undo()
        assert (os.strerror(number) in said) == failed()
        assert read_all(tmp_path, kept) == [b"kept" * 100]
        if not failed():
            break
    else:
        pytest.fail("never got through")


def fails_at(
    monkeypatch: pytest.MonkeyPatch, call: str, fail_at: int, number: int
) -> Callable[[], bool]:
    real, count = getattr(os, call), 0

    def failing(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == fail_at:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    monkeypatch.setattr(os, call, failing)
    return lambda: count >= fail_at


def test_what_the_disk_refused_is_written_at_the_next_occasion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = Chunks(tmp_path)
    fails_at(monkeypatch, "fsync", 1, errno.EIO)
    with pytest.raises(StoreError):
        put_all(ChunkWriter(tmp_path, chunks, owner="s"), [b"content"])
    monkeypatch.undo()
    for path in tmp_path.glob("*.seg"):
        path.unlink()
    digests = put_all(ChunkWriter(tmp_path, chunks, owner="s"), [b"content"])
    assert read_all(tmp_path, digests) == [b"content"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the disk is written whole or refused, so the short write is put in its place."""
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda fd, data: real(fd, data[:1000]))
    digests = written(tmp_path, CONTENTS)
    monkeypatch.undo()
    assert read_all(tmp_path, digests) == CONTENTS


def test_a_writer_that_is_killed_leaves_only_whole_chunks(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from flow_kernel.store.snapshots.segments import Chunks\n"
        "from flow_kernel.store.snapshots.writer import ChunkWriter\n"
        "w = ChunkWriter(Path(sys.argv[1]), Chunks(Path(sys.argv[1])), owner=sys.argv[2])\n"
        "n = 0\n"
        "while True:\n"
        "    d = w.put(str(n).encode() * 20000); n += 1\n"
        "    w.sync(); print(d.hex(), flush=True)\n"
    )
    dice = random.Random(3)
    for turn in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), f"w{turn}"], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(dice.randrange(1, 30))]
        child.kill()
        acknowledged += child.stdout.read().splitlines(keepends=True)
        child.stdout.close()
        child.wait()
        digests = [bytes.fromhex(line.decode()) for line in acknowledged if line.endswith(b"\n")]
        found = read_all(tmp_path, digests)
        assert found == [str(n).encode() * 20000 for n in range(len(digests))]


def test_a_manifest_is_there_as_a_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = manifests.seal({"format": 2, "name": "x" * 5000}, KEY)
    for call in ("open", "write", "fsync", "link"):
        for fail_at in (1, 2, 3):
            failed = fails_at(monkeypatch, call, fail_at, errno.ENOSPC)
            try:
                manifests.put(tmp_path / call, f"c{fail_at}", data)
            except StoreError:
                assert failed()
            finally:
                monkeypatch.undo()
            for path in (tmp_path / call).glob("*"):
                assert path.suffix == ".json"
                assert path.read_bytes() == data


def test_a_manifest_never_replaces_another(tmp_path: Path) -> None:
    manifests.put(tmp_path, "c", b"first")
    with pytest.raises(StoreError):
        manifests.put(tmp_path, "c", b"second")
    assert (tmp_path / "c.json").read_bytes() == b"first"
