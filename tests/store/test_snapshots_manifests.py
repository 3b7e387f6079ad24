"""Manifests: signed, told from damaged and foreign ones, and read whatever version wrote them."""

import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.store.snapshots.manifests import (
    FORMAT,
    ManifestDamaged,
    ManifestTooNew,
    seal,
    unseal,
    upgrade,
)

KEY = b"k" * 32
OTHER = b"o" * 32
SAMPLE = Path(__file__).parent / "samples" / "manifest_format_1.json"
MANIFEST: dict[str, Any] = {
    "format": FORMAT,
    "checkpoint_id": "0123456789ab",
    "name": "ünïcode \u2028",
    "variables": {"n": {"type": "int"}, "x": {"type": "float", "summary": "2.5"}},
    "groups": [{"names": ["n"], "stream": {"nbytes": 1, "chunks": ["00ff"]}, "buffers": []}],
    "anchors": ["namespace"],
}


def test_a_manifest_is_signed_and_read_back() -> None:
    data = seal(MANIFEST, KEY)
    ours, foreign = unseal(data, KEY), unseal(data, OTHER)
    assert (ours.whole(), ours.is_signed) == (MANIFEST, True)
    assert (foreign.whole(), foreign.is_signed) == (MANIFEST, False)
    assert ours.head["counts"] == {"variables": 2}


def test_the_head_says_nothing_of_groups_and_the_body_waits_as_it_is() -> None:
    ours = unseal(seal(MANIFEST, KEY), KEY)
    assert sorted(ours.head) == ["body_hash", "checkpoint_id", "counts", "format", "name"]
    assert isinstance(ours.body, bytes)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(0, 9), max_size=4))
def test_any_manifest_is_read_back(more: dict[str, Any]) -> None:
    manifest = {**more, **MANIFEST}
    manifest.pop("counts", None)
    assert unseal(seal(manifest, KEY), KEY).whole() == manifest


def test_no_flipped_bit_passes_for_another_content_or_for_a_foreign_signature() -> None:
    data = seal(MANIFEST, KEY)
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            found = unseal(bytes(damaged), KEY)
        except ManifestDamaged:
            continue
        # A bit of the checksum itself, which nobody asks when the signature is right.
        assert (found.whole(), found.is_signed) == (MANIFEST, True)


def test_a_manifest_that_was_cut_off_anywhere_is_damaged() -> None:
    data = seal(MANIFEST, KEY)
    for length in range(len(data) - len(b'xxxxxxxx"}\n')):
        with pytest.raises(ManifestDamaged):
            unseal(data[:length], KEY)


def forged(of: bytes, by: bytes) -> bytes:
    """A manifest of ours that a stranger has changed, with a right checksum."""
    data = seal(MANIFEST, KEY).replace(of, by)
    told = data[: data.index(b',"crc":')]
    return told + b',"crc":"%08x"}\n' % zlib.crc32(told)


def test_a_head_that_a_stranger_changed_is_not_signed() -> None:
    assert not unseal(forged(b'"0123456789ab"', b'"ab0123456789"'), KEY).is_signed


def test_a_body_that_a_stranger_changed_is_never_read_under_our_signature() -> None:
    with pytest.raises(ManifestDamaged, match="names other variables than were signed"):
        unseal(forged(b"00ff", b"ff00"), KEY).whole()


def test_a_manifest_of_a_newer_version_is_told_from_a_damaged_one() -> None:
    data = seal({**MANIFEST, "format": FORMAT + 1, "counts": "means something else"}, KEY)
    with pytest.raises(ManifestTooNew, match=r"was made by a newer version \(format 3\)"):
        unseal(data, KEY)
    with pytest.raises(ManifestDamaged, match="fails its checksum") as damaged:
        unseal(data[:-3] + b"?" + data[-2:], KEY)
    assert not isinstance(damaged.value, ManifestTooNew)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\n[]\n", b"\x00" * 400, b'{"format":2}\n', b"1"])
def test_what_is_no_manifest_is_damaged(data: bytes) -> None:
    with pytest.raises(ManifestDamaged):
        unseal(data, KEY)


def test_a_manifest_of_the_first_format_is_read_as_one_of_today() -> None:
    data = SAMPLE.read_bytes()
    found = unseal(data, KEY)
    written = orjson.loads(data)
    written.pop("mac")
    assert (found.whole(), found.is_signed) == (upgrade(written), True)
    assert not unseal(data, OTHER).is_signed
    assert unseal(seal(found.whole(), KEY), KEY).whole() == found.whole()


def test_an_upgrade_changes_nothing_that_it_was_given() -> None:
    written = orjson.loads(SAMPLE.read_bytes())
    before = orjson.dumps(written)
    assert upgrade(written) == {**written, "format": FORMAT}
    assert upgrade(upgrade(written)) == upgrade(written)
    assert orjson.dumps(written) == before
