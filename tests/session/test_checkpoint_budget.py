"""The disk that checkpoints may take: what goes first, and what never goes."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import StoreError
from flow_kernel.session.checkpoints.budget import AUTOMATIC, Held, default_budget, to_drop
from flow_kernel.session.checkpoints.checkpoint import Part
from flow_kernel.session.checkpoints.pruning import keep_within, prune
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.collect import collect, held
from flow_kernel.store.snapshots.manifests import put, seal
from tests.session.shelves import KEY, shelf_at, taken

DICE = random.Random(3)
SIZES = {bytes([n]): 100 for n in range(256)}


def one(number: int, reason: str, chunks: str, session: str = "s") -> Held:
    part = Part(nbytes=1, chunks=tuple(chunks))
    return Held(checkpoint_id=str(number), reason=reason, session=session, parts=frozenset([part]))


def chunks_of(part: Part) -> list[bytes]:
    return [chunk.encode() for chunk in part.chunks]


def dropped(all_of_them: list[Held], budget_bytes: int) -> list[str]:
    return to_drop(all_of_them, chunks_of, SIZES, budget_bytes=budget_bytes)


def test_nothing_goes_while_all_fits() -> None:
    assert dropped([one(1, "step", "ab"), one(2, "step", "bc")], 300) == []


def test_the_oldest_automatic_ones_go_until_there_is_room() -> None:
    line = [one(n, "step", chr(65 + n)) for n in range(10)]
    assert dropped(line, 900) == ["0", "1"]


def test_what_was_asked_for_stays_whatever_it_takes() -> None:
    line = [one(1, "asked", "abc"), one(2, "cells", "d"), one(3, "asked", "e")]
    assert dropped(line, 100) == ["2"]


def test_the_newest_of_each_session_stays() -> None:
    line = [one(1, "step", "a", "old"), one(2, "step", "b", "new"), one(3, "step", "c", "new")]
    assert dropped(line, 1) == ["2"]


def test_what_others_need_as_well_frees_nothing() -> None:
    line = [one(1, "step", "ab"), one(2, "step", "abc"), one(3, "step", "abd")]
    assert dropped(line, 300) == ["1", "2"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["asked", *sorted(AUTOMATIC)]),
            st.text("abcdefgh", min_size=1, max_size=5),
            st.sampled_from("st"),
        ),
        max_size=12,
    ),
    st.integers(1, 900),
)
def test_what_is_left_fits_or_could_not_go(rows: list[tuple[str, str, str]], budget: int) -> None:
    line = [one(n, *row) for n, row in enumerate(rows)]
    gone = set(dropped(line, budget))
    left = [held for held in line if held.checkpoint_id not in gone]
    total = 100 * len({chunk for held in left for part in held.parts for chunk in part.chunks})
    newest = {held.session: held.checkpoint_id for held in line}
    assert total <= budget or all(
        held.reason == "asked" or newest[held.session] == held.checkpoint_id for held in left
    )
    assert gone.isdisjoint(newest.values())


def test_the_budget_is_a_tenth_of_the_disk_and_never_more_than_ten_gigabytes(
    tmp_path: Path,
) -> None:
    assert 0 < default_budget(tmp_path, 0) <= 10_000_000_000
    assert default_budget(tmp_path, 10**15) == 10_000_000_000


def some(shelf: Shelf, number: int, reason: str) -> str:
    value = DICE.randbytes(100_000)
    stamp = f"2025-01-01T00:00:{number:02d}.000Z"
    made = taken(shelf, {"x": value}, reason=reason, created_at=stamp, seq=number)
    return made.checkpoint_id


def test_checkpoints_are_kept_within_a_budget_on_the_disk(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    asked = some(shelf, 0, "asked")
    ids = [some(shelf, number, "step") for number in range(1, 11)]
    done = keep_within(shelf, budget_bytes=500_000)
    assert (done.checkpoints, done.why_kept) == (7, "")
    assert done.bytes_freed > 600_000
    other = shelf_at(tmp_path)
    assert [found.checkpoint_id for found in other.all()] == [asked, *ids[7:]]
    assert [other.verify(found) for found in other.all()] == [[]] * 4
    assert other.chunks.nbytes < 500_000
    assert keep_within(other, budget_bytes=500_000).checkpoints == 0


def test_a_home_without_checkpoints_is_within_any_budget(tmp_path: Path) -> None:
    assert keep_within(shelf_at(tmp_path), budget_bytes=1).checkpoints == 0


def test_nothing_is_freed_while_it_is_not_known_what_is_needed(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    for number in range(3):
        some(shelf, number, "step")
    size = sum(path.stat().st_size for path in shelf.segments_dir.glob("*.seg"))
    put(shelf.manifests_dir, "abcdefabcdef", seal({"format": 9}, KEY))
    done = prune(shelf, keep=1, files=None)
    assert (done.checkpoints, done.bytes_freed) == (2, 0)
    assert "abcdefabcdef needs is not known: it was made by a newer version" in done.why_kept
    assert sum(path.stat().st_size for path in shelf.segments_dir.glob("*.seg")) == size


def test_nothing_is_collected_while_somebody_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow_kernel.store.snapshots.collect._ALONE_WAIT_S", 0.01)
    shelf = shelf_at(tmp_path)
    shelf.drop(taken(shelf, {"x": b"gone" * 1000}))
    with held(shelf.segments_dir, is_alone=False) as is_held:
        assert is_held
        assert collect(shelf.segments_dir, lambda: pytest.fail("asked too early")) == 0
    assert collect(shelf.segments_dir, shelf.reachable) > 0


def test_a_damaged_chunk_that_is_needed_is_not_collected(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    kept = taken(shelf, {"x": b"kept" * 10})
    shelf.drop(taken(shelf, {"y": DICE.randbytes(1000)}))
    [path] = shelf.segments_dir.glob("*.seg")
    place = shelf.chunks.place(bytes.fromhex(kept.groups[0].buffers[0].chunks[0]))
    assert place is not None
    data = bytearray(path.read_bytes())
    data[place.end - 1] ^= 1
    path.write_bytes(data)
    assert collect(shelf.segments_dir, shelf.reachable) <= 0
    assert bytes(data) == path.read_bytes()


def test_a_reader_finds_what_was_moved_since_it_looked(tmp_path: Path) -> None:
    shelf, reader = shelf_at(tmp_path), shelf_at(tmp_path)
    kept = taken(shelf, {"x": b"kept" * 10})
    shelf.drop(taken(shelf, {"y": DICE.randbytes(1000)}))
    assert reader.verify(kept) == []
    before = reader.chunks.losses
    assert collect(shelf.segments_dir, shelf.reachable) > 0
    assert bytes(reader.content(kept.groups[0].buffers[0])) == b"kept" * 10
    assert reader.chunks.losses == before + 1


WRITER = """
import random, sys, time
from pathlib import Path
from tests.session.shelves import shelf_at, taken
shelf = shelf_at(Path(sys.argv[1]))
for n in range(int(sys.argv[3])):
    time.sleep(random.random() / 100)  # else nobody ever has the store alone
    value = random.Random(sys.argv[2] + str(n % 7)).randbytes(3000)
    taken(shelf, {"x": value, "y": b"common"}, owner=sys.argv[2], seq=n,
          session=sys.argv[2], reason="step",
          created_at=f"2025-01-01T00:{n // 60:02d}:{n % 60:02d}.000Z")
print("done")
"""
COLLECTOR = """
import sys
from pathlib import Path
from flow_kernel.session.checkpoints.pruning import keep_within
from tests.session.shelves import shelf_at
shelf = shelf_at(Path(sys.argv[1]))
freed, is_last = 0, False
while not is_last:
    is_last = Path(sys.argv[1], "stop").exists()
    freed += keep_within(shelf, budget_bytes=20_000).bytes_freed
print(freed)
"""


def test_two_kernels_and_a_collector_on_one_store_lose_nothing_that_was_named(
    tmp_path: Path,
) -> None:
    def started(script: str, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", script, str(tmp_path), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    collector = started(COLLECTOR)
    writers = [started(WRITER, name, "40") for name in ("one", "two")]
    said = [writer.communicate(timeout=50)[0] for writer in writers]
    (tmp_path / "stop").touch()
    freed, _ = collector.communicate(timeout=50)
    assert said == ["done\n", "done\n"]
    assert int(freed) > 0
    shelf = shelf_at(tmp_path)
    left = shelf.all()
    assert {found.session for found in left} == {"one", "two"}
    assert [trouble for found in left for trouble in shelf.verify(found)] == []


def test_a_writer_is_told_when_another_process_does_not_stop_tidying_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow_kernel.store.snapshots.collect._SHARED_WAIT_S", 0.01)
    with held(tmp_path, is_alone=True) as is_held:
        assert is_held
        with pytest.raises(StoreError, match="another process"), held(tmp_path, is_alone=False):
            pytest.fail("nobody may write now")
