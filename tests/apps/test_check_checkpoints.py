"""`jupyter flow check` and checkpoints: damage is named with its variables, and moved aside."""

import random
from pathlib import Path
from typing import Any

import pytest

from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.shelf import Shelf
from flow_kernel.store.snapshots.collect import held
from flow_kernel.store.snapshots.content import CHUNK_BYTES
from flow_kernel.store.snapshots.manifests import put, seal
from tests.apps.running import Cli
from tests.apps.sample_log import SampleLog
from tests.session.shelves import KEY, shelf_at, taken

DICE = random.Random(11)
LONG = DICE.randbytes(20 * CHUNK_BYTES)


@pytest.fixture
def shelf() -> Shelf:
    """The checkpoints of the home of the working directory, which has a log, too."""
    home = Path(".flow").absolute()
    SampleLog(home).cell()
    return shelf_at(home)


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


def place(shelf: Shelf, one: Checkpoint, variable: str) -> tuple[Path, int, int, str]:
    """Where the first chunk of a variable's buffer lies."""
    [group] = [group for group in one.groups if group.names == (variable,)]
    part = group.buffers[0]
    named = part.chunk_list or part.chunks[0]
    placed = shelf.chunks.place(bytes.fromhex(named))
    assert placed is not None
    return placed.path, placed.offset, placed.end, named[:16]


def damaged(cli: Cli) -> list[dict[str, Any]]:
    done = cli("check", "--json")
    assert done.code == 1
    found: list[dict[str, Any]] = done.document["damaged"]
    assert all(one["line"] == 0 for one in found)
    return found


def test_whole_checkpoints_are_ok_and_counted(cli: Cli, shelf: Shelf) -> None:
    taken(shelf, {"x": LONG, "y": b"1"})
    shelf.drop(taken(shelf, {"z": DICE.randbytes(5000)}, owner="other"))
    torn = shelf.segments_dir / "torn-000001.seg"
    torn.write_bytes(b"FLOWSEG1CHN2 and no more")

    done = cli("check", "--json")
    assert (done.code, done.document["damaged"]) == (0, [])
    figures = done.document["checkpoints"]
    assert figures == {
        "checkpoints": 1,
        "segments": 3,
        "torn": 1,
        "unneeded_bytes": figures["unneeded_bytes"],
    }
    assert 5000 < figures["unneeded_bytes"] < 6000
    people = cli("check")
    assert people.code == 0
    assert people.lines[1].startswith("1 checkpoint in 3 segments, 1 torn end (no damage), 5")
    assert people.lines[1].endswith("that none of them needs")


def test_a_flipped_bit_is_named_with_checkpoint_and_variables_and_no_other(
    cli: Cli, shelf: Shelf
) -> None:
    one = taken(shelf, {"x": DICE.randbytes(3000), "y": DICE.randbytes(3000)})
    taken(shelf, {"z": DICE.randbytes(3000)}, seq=2)
    path, offset, end, digest = place(shelf, one, "y")
    flip(path, end - 1)
    why = f"checkpoint {one.checkpoint_id}: y: chunk {digest}: content fails its hash"
    assert damaged(cli) == [{"file": str(path), "line": 0, "offset": offset, "reason": why}]


def test_a_damaged_list_is_named_like_any_chunk(cli: Cli, shelf: Shelf) -> None:
    one = taken(shelf, {"x": LONG})
    path, offset, end, digest = place(shelf, one, "x")
    flip(path, end - 1)
    [found] = damaged(cli)
    assert (found["file"], found["offset"]) == (str(path), offset)
    assert found["reason"].startswith(f"checkpoint {one.checkpoint_id}: x: chunk {digest}: ")


def test_a_damaged_header_is_named_and_so_is_what_it_cost(cli: Cli, shelf: Shelf) -> None:
    one = taken(shelf, {"x": DICE.randbytes(3000), "y": b"1"})
    path, offset, _, digest = place(shelf, one, "x")
    flip(path, offset + 30)
    reason = f"checkpoint {one.checkpoint_id}: x: chunk {digest} is in no segment"
    manifest = str(shelf.manifests_dir / f"{one.checkpoint_id}.json")
    assert damaged(cli) == [
        {"file": str(path), "line": 0, "offset": offset, "reason": "header fails its checksum"},
        {"file": manifest, "line": 0, "offset": 0, "reason": reason},
    ]


def test_a_lost_segment_is_named_by_what_was_in_it(cli: Cli, shelf: Shelf) -> None:
    one = taken(shelf, {"x": b"1"})
    for path in shelf.segments_dir.glob("*.seg"):
        path.unlink()
    found = damaged(cli)
    assert len(found) == 2  # its pickle and its buffer
    assert all(f"checkpoint {one.checkpoint_id}: x: chunk" in each["reason"] for each in found)


def test_a_repair_sets_damage_aside_and_all_the_rest_loads(cli: Cli, shelf: Shelf) -> None:
    values = {"x": DICE.randbytes(3000), "y": DICE.randbytes(3000), "long": LONG}
    hurt = taken(shelf, values)
    whole = taken(shelf, {**values, "y": b"another"}, seq=2)
    spoiled = taken(shelf, {"z": b"2"}, seq=3)
    path, offset, end, digest = place(shelf, hurt, "y")
    piece = bytearray(path.read_bytes()[offset:end])
    flip(path, end - 1)
    piece[-1] ^= 4
    manifest = shelf.manifests_dir / f"{spoiled.checkpoint_id}.json"
    flip(manifest, 40)
    assert len(damaged(cli)) == 2

    done = cli("check", "--repair", "--json")

    lost = f"checkpoint {hurt.checkpoint_id}: y: chunk {digest} is in no segment"
    assert [one["reason"] for one in done.document["damaged"]] == [lost]
    assert done.err == (
        f"moved what is damaged to {path}.torn\nmoved what is damaged to {manifest}.torn\n"
    )
    assert Path(f"{path}.torn").read_bytes() == piece
    after = shelf_at(Path(".flow").absolute())
    assert [one.checkpoint_id for one in after.all()] == [hurt.checkpoint_id, whole.checkpoint_id]
    assert after.verify(whole) == []
    assert [one.variables for one in after.verify(hurt)] == [("y",)]
    assert cli("check", "--repair").err == ""


def test_what_was_damaged_and_moved_aside_is_written_again_when_it_is_there_again(
    cli: Cli, shelf: Shelf
) -> None:
    value = DICE.randbytes(3000)
    one = taken(shelf, {"x": value})
    path, _, end, _ = place(shelf, one, "x")
    flip(path, end - 1)
    cli("check", "--repair")
    taken(shelf_at(Path(".flow").absolute()), {"x": value}, seq=2)
    assert cli("check").code == 0


def test_a_manifest_of_a_newer_version_is_no_damage_to_be_moved(cli: Cli, shelf: Shelf) -> None:
    path = put(shelf.manifests_dir, "abcdefabcdef", seal({"format": 9}, KEY))
    shelf.segments_dir.mkdir()
    cli("check", "--repair")
    assert [one["reason"] for one in damaged(cli)] == [
        "checkpoint abcdefabcdef: its manifest was made by a newer version (format 9)"
    ]
    assert path.exists()


def test_nothing_is_repaired_while_a_checkpoint_is_taken(
    cli: Cli, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flow_kernel.store.snapshots.collect._ALONE_WAIT_S", 0.01)
    taken(shelf, {"x": b"1"})
    with held(shelf.segments_dir, is_alone=False):
        done = cli("check", "--repair")
    assert (done.code, "nothing was repaired" in done.err) == (1, True)


@pytest.mark.parametrize("variable", ["x", "long"])
def test_canaries_never_run_whatever_is_checked(cli: Cli, shelf: Shelf, variable: str) -> None:
    canary = b"cos\nsystem\n(S'touch canary'\ntR."
    taken(shelf, {variable: canary * (1 if variable == "x" else CHUNK_BYTES)})
    cli("check")
    cli("check", "--repair")
    assert not Path("canary").exists()
