"""The shelf: checkpoints are found, read and verified by any process, and never executed."""

import os
import random
import zlib
from pathlib import Path

import pytest

from flow_kernel.errors import CheckpointDamaged
from flow_kernel.session.checkpoints.checkpoint import identified
from flow_kernel.store.snapshots.collect import collect
from flow_kernel.store.snapshots.content import CHUNK_BYTES
from flow_kernel.store.snapshots.manifests import put, seal
from tests.session.shelves import KEY, contents, shelf_at, taken

SAMPLE = Path(__file__).parents[1] / "store" / "samples" / "manifest_format_1.json"

LONG = random.Random(1).randbytes(20 * CHUNK_BYTES + 5)
VALUES = {"long": LONG, "short": b"short"}


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
    assert collect(shelf.segments_dir, shelf.reachable) > 40 * CHUNK_BYTES
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


def test_a_checkpoint_of_the_first_format_is_listed_with_those_of_today(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    taken(shelf, VALUES)
    (shelf.manifests_dir / "0123456789ab.json").write_bytes(SAMPLE.read_bytes())
    old, new = sorted(shelf_at(tmp_path).all(), key=lambda one: one.seq, reverse=True)
    assert (old.name, old.is_trusted, len(old.variables)) == ("clean", True, 1)
    assert old.item()["variables"] == 1
    assert old.groups[0].names == ("n",)
    assert (new.name, new.groups[0].names) == ("some", ("long",))


def test_a_checkpoint_of_a_newer_version_is_listed_as_one_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    shelf = shelf_at(tmp_path)
    put(shelf.manifests_dir, "abcdefabcdef", seal({"format": 9, "checkpoint_id": "x"}, KEY))
    assert shelf.all() == []
    assert shelf.damaged == {"abcdefabcdef": "was made by a newer version (format 9)"}


def test_a_manifest_under_the_name_of_another_is_refused(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    one = taken(shelf, VALUES)
    path = shelf.manifests_dir / f"{one.checkpoint_id}.json"
    path.rename(path.with_name("0123456789ab.json"))
    assert shelf.all() == []
    assert shelf.damaged == {"0123456789ab": f"belongs to checkpoint {one.checkpoint_id}"}


def test_a_checkpoint_is_found_by_its_id_though_no_other_can_be_read(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    one = taken(shelf, VALUES)
    taken(shelf, VALUES, name=one.checkpoint_id, seq=2)  # of that name, and no such id
    put(shelf.manifests_dir, "abcdefabcdef", b"damaged")
    other = shelf_at(tmp_path)

    assert other.find(one.checkpoint_id) == one
    assert other.damaged == {}  # nobody has looked at it
    other.drop(one)
    assert other.find(one.checkpoint_id).seq == 2
    with pytest.raises(CheckpointDamaged, match="abcdefabcdef"):
        other.find("abcdefabcdef")


def test_the_newest_file_comes_first_and_none_is_read_before_its_turn(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    put(shelf.manifests_dir, "abcdefabcdef", b"damaged")
    old, new = (taken(shelf, VALUES, seq=seq).checkpoint_id for seq in (1, 2))
    for age_s, name in enumerate([new, old, "abcdefabcdef"]):
        os.utime(shelf.manifests_dir / f"{name}.json", (age_s * -9 + 1e9,) * 2)
    other = shelf_at(tmp_path)
    found = other.newest_first()

    assert [next(found).seq, next(found).seq, other.damaged] == [2, 1, {}]
    assert ([*found], [*other.damaged]) == ([], ["abcdefabcdef"])


def test_the_id_of_a_checkpoint_may_be_chosen_before_its_content_is_known() -> None:
    assert identified({"checkpoint_id": "0123456789ab", "n": 1})["checkpoint_id"] == "0123456789ab"
    assert identified({"n": 1}) == identified({"n": 1}) != identified({"n": 2})


def test_a_list_of_checkpoints_does_not_parse_what_it_does_not_show(tmp_path: Path) -> None:
    taken(shelf_at(tmp_path), VALUES)
    [found] = shelf_at(tmp_path).all()
    found.item()
    with pytest.raises(AttributeError):
        object.__getattribute__(found.body, "groups")
    assert [group.names for group in found.groups] == [("long",), ("short",)]
    assert found.groups is found.groups


def test_variables_that_a_stranger_put_under_our_signature_are_never_read(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    path = shelf.manifests_dir / f"{taken(shelf, VALUES).checkpoint_id}.json"
    told = path.read_bytes().replace(b'"names":["short"]', b'"names":["other"]')
    told = told[: told.index(b',"crc":')]
    path.write_bytes(told + b',"crc":"%08x"}\n' % zlib.crc32(told))
    other = shelf_at(tmp_path)
    [found] = other.all()
    [trouble] = other.verify(found)
    assert trouble.reason.endswith("its manifest names other variables than were signed")
    with pytest.raises(CheckpointDamaged, match=found.checkpoint_id):
        _ = found.groups


@pytest.mark.parametrize("name", ["{1}", "abcd --trust", "ABCDEFABCDEF", "abcdef", "a" * 40])
def test_a_manifest_whose_name_is_no_id_is_damaged_whoever_signed_it(
    tmp_path: Path, name: str
) -> None:
    shelf = shelf_at(tmp_path)
    kept = taken(shelf, VALUES)
    taken(shelf, VALUES, checkpoint_id=name)
    assert shelf.all() == [kept]
    assert shelf.damaged == {name: "has a name that is no id"}


@pytest.mark.parametrize("fact", [{"name": ["x"]}, {"created_at": 5}, {"seq": "1"}, {"seq": None}])
def test_a_manifest_that_cannot_be_sorted_spoils_no_list(
    tmp_path: Path, fact: dict[str, object]
) -> None:
    shelf = shelf_at(tmp_path)
    kept = taken(shelf, VALUES)
    odd = taken(shelf, VALUES, **fact)
    assert shelf.all() == [kept]
    assert shelf.damaged == {odd.checkpoint_id: "has a name or a time that is none"}
