"""Variables arrive in another process as they were, and what cannot go is said by name."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flow_kernel.errors import FlowError
from flow_kernel.workers import transfer
from flow_kernel.workers.transfer import Arena, Refused
from flow_kernel.workers.transfer_arena import KEPT_BYTES, Buffer, laid_out, regions
from tests.workers.far_side import FarSide, session


@pytest.fixture(scope="module")
def far() -> Iterator[FarSide]:
    with FarSide() as far:
        yield far


def here_and_back(
    values: dict[str, Any], namespace: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Through an arena, in one process: for what needs no second one."""
    packed = transfer.pack(values, namespace)
    assert packed.refused == ()
    arena = Arena()
    try:
        shipment = json.loads(json.dumps(transfer.ship(packed, arena)))
        return transfer.unpack(shipment, home=namespace)
    finally:
        arena.close()


@pytest.mark.parametrize("by_frames", [False, True])
def test_names_that_share_objects_or_memory_share_them_there(far: FarSide, by_frames: bool) -> None:
    made = session("import numpy as np\nshared = [1]\none = {'a': shared}\ntwo = (shared,)\n"
                   "table = np.arange(24.0).reshape(4, 6)\nrows = table[1:3]\n"
                   "column = table[:, 2]\nback = table[::-1]\n"
                   "turned, again = table.T, table\n")  # fmt: skip
    names = ("shared", "one", "two", "table", "rows", "column", "back", "turned", "again")

    far.send({name: made[name] for name in names}, by_frames=by_frames)

    assert far.tell("one['a'] is shared is two[0], again is table") == [True, True]
    same = "[numpy.shares_memory(table, one) for one in (rows, column, back, turned)]"
    assert far.tell(same, after="import numpy") == [True] * 4
    told = far.tell("[table[1, 2], turned[2, 1], back[2, 2], column[1]]", after="rows[0, 2] = -1")
    assert told == [-1] * 4


def test_cycles_come_back_as_cycles(far: FarSide) -> None:
    made = session("ring = [1]; ring.append(ring)\nowner = {}; owner['self'] = (owner, ring)\n")

    far.send({"ring": made["ring"], "owner": made["owner"]})

    cycles = "[ring[1] is ring, owner['self'][0] is owner, owner['self'][1] is ring]"
    assert far.tell(cycles) == [True] * 3


def test_arrays_keep_layout_type_and_whether_they_may_be_written() -> None:
    fixed = np.arange(6)
    fixed.flags.writeable = False
    kinds = ["?", "i1", "u8", ">i4", "f2", "f8", "c16", "M8[ns]", "m8[s]", "S3", "U4", "V5"]
    base = np.arange(10_000_000, dtype=np.uint8).reshape(1000, 10_000)
    values: dict[str, Any] = {
        "fixed": fixed,
        "window": fixed[2:],
        "fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
        "empty": np.empty((0, 3)),
        "nothing": np.array(7),
        "wide": np.broadcast_to(np.arange(3), (4, 3)),
        "record": np.array([(1, 2.5, b"x")], dtype=[("a", "i4"), ("b", ">f8"), ("c", "S2")]),
        "odd": np.frombuffer(bytearray(b"abcdefghi"), dtype="<u4", offset=1),
        "thin": base[:, 5],
        "objects": np.array([1, "x", None], dtype=object),
        **{f"of_{kind}": np.zeros(3, kind) for kind in kinds},
    }

    got = here_and_back(values)

    for name, value in values.items():
        other = got[name]
        assert (other.dtype, other.shape) == (value.dtype, value.shape), name
        assert other.tobytes() == value.tobytes() or value.dtype == object, name
        assert other.flags.writeable == value.flags.writeable, name
        if name not in ("thin", "empty"):
            assert other.strides == value.strides, name
    assert got["objects"].tolist() == [1, "x", None]
    assert np.shares_memory(got["fixed"], got["window"])
    assert transfer.pack({"thin": base[:, 5]}).nbytes < 10_000


def test_frames_arrive_equal_and_copy_on_write_still_holds(far: FarSide) -> None:
    frame = pd.DataFrame(
        {
            "number": np.arange(5.0),
            "day": pd.date_range("2026-01-01", periods=5, tz="UTC"),
            "kind": pd.Categorical(list("abcab")),
            "text": list("vwxyz"),
            "maybe": pd.array([1, None, 3, 4, 5], dtype="Int64"),
        },
        index=pd.MultiIndex.from_product([["x"], range(5)], names=["one", "two"]),
    )
    renamed = frame.rename(columns={"number": "figure"})

    far.send({"frame": frame, "renamed": renamed})
    after = "renamed.iloc[0, 0] = 99.0\nframe.iloc[1, 0] = -1.0"
    assert far.tell("[frame.iloc[0, 0], renamed.iloc[1, 0]]", after=after) == [0.0, 1.0]

    got = transfer.unpack(far.shipment("frame"))["frame"]
    frame.iloc[1, 0] = -1.0
    pd.testing.assert_frame_equal(got, frame)


@pytest.mark.parametrize("separator", ["", "\0", "\0\x1e"])
def test_many_texts_are_exact_with_their_holes(separator: str) -> None:
    texts: list[Any] = [f"row {n} {separator}é\ud800" for n in range(20_000)]
    holes = list(texts)
    holes[3], holes[5], holes[-1] = None, float("nan"), ""
    mixed = [*texts[:-1], 1.5]
    arrays = np.empty(10_000, dtype=object)
    arrays[:] = [np.arange(2)] * 10_000
    square = np.asfortranarray(np.array(holes, dtype=object).reshape(100, 200))
    values = {
        "texts": np.array(texts, dtype=object),
        "holes": np.array(holes, dtype=object),
        "mixed": np.array(mixed, dtype=object),
        "same": np.array(["a", "b"] * 10_000, dtype=object),
        "frame": pd.DataFrame({"a": pd.Series(holes, dtype=object)}),
        "square": square,
        "arrays": arrays,
    }

    got = here_and_back(values)

    for name, want in (("texts", texts), ("holes", holes), ("mixed", mixed)):
        assert list(map(repr, got[name])) == list(map(repr, want)), name
    assert got["same"].tolist() == values["same"].tolist()
    assert list(map(repr, got["frame"]["a"])) == list(map(repr, holes))
    assert list(map(repr, got["square"].ravel())) == list(map(repr, square.ravel()))
    assert got["square"].strides == square.strides
    assert got["arrays"][9_999].tolist() == [0, 1]


def test_what_cannot_go_is_named_with_its_type_and_reason() -> None:
    made = session("""
import os, threading, socket
def numbers(): yield 1
class Raises:
    def __reduce__(self): raise ValueError("no\\n way " + "x" * 300)
class Leaves:
    def __reduce__(self): raise SystemExit(3)
class Deep:
    def __reduce__(self): return Deep, (Deep(),)
class Mute(Exception):
    def __str__(self): raise RuntimeError
class Silent:
    def __reduce__(self): raise Mute
class Full:
    def __reduce__(self): raise MemoryError
raises, leaves, deep, silent, full, items = Raises(), Leaves(), Deep(), Silent(), Full(), numbers()
lock, modules, good = threading.Lock(), os.path, [1]
""")
    with Path(os.devnull).open("rb") as file:
        made["file"], made["nested"] = file, {"a": [good := made["good"], made["lock"]]}
        names = ("good", "raises", "leaves", "deep", "silent", "full", "items", "lock", "file",
                 "nested", "modules")  # fmt: skip
        packed = transfer.pack({name: made[name] for name in names}, made)

    reasons = {one.name: one for one in packed.refused}
    assert packed.names == ("good", "modules")
    assert reasons["raises"] == Refused(
        "raises", "__main__.Raises", ("ValueError: no way " + "x" * 300)[:200]
    )
    assert reasons["leaves"] == Refused("leaves", "__main__.Leaves", "SystemExit: 3")
    assert reasons["deep"].reason.startswith("RecursionError: ")
    assert reasons["silent"] == Refused("silent", "__main__.Silent", "Mute")
    assert reasons["full"].reason == "MemoryError"
    assert reasons["items"] == Refused(
        "items", "generator", "TypeError: cannot pickle 'generator' object"
    )
    assert reasons["lock"].reason == reasons["nested"].reason
    assert (reasons["lock"].type, reasons["nested"].type) == ("_thread.lock", "dict")
    assert reasons["file"].type == "_io.BufferedReader"
    assert good == [1]


def test_an_interrupt_is_not_a_refusal() -> None:
    made = session("class Tired:\n    def __reduce__(self): raise KeyboardInterrupt\nx = Tired()")

    with pytest.raises(KeyboardInterrupt):
        transfer.pack({"x": made["x"]}, made)


def test_the_good_case_is_one_pickle() -> None:
    made = session("class Counts:\n    def __reduce__(self): calls.append(1); return list, ()\n"
                   "calls, x, y = [], Counts(), Counts()")  # fmt: skip

    assert transfer.pack({"x": made["x"], "y": made["y"]}, made).names == ("x", "y")
    assert made["calls"] == [1, 1]


def test_a_value_that_cannot_be_made_there_is_named() -> None:
    made = session("class Late:\n    def __setstate__(self, state): raise OSError('gone')\n"
                   "late = Late(); late.a = 1")  # fmt: skip

    with pytest.raises(FlowError, match="late cannot be put together here: OSError: gone"):
        here_and_back({"late": made["late"]}, made)


def test_what_was_received_stays_when_the_arena_is_used_again(far: FarSide) -> None:
    first = np.full(2_000_000, 1.0)
    far.send({"first": first})
    far.send({"second": np.full(3_000_000, 2.0), "small": np.arange(3)})

    assert far.tell("[first.min(), first.max(), second.min(), len(second)]") == [1, 1, 2, 3_000_000]
    got = transfer.unpack(far.shipment("first"))["first"]
    far.shipment("second")
    assert (got == 1.0).all()
    assert far.arena.nbytes >= 24_000_000


def test_two_hundred_sendings_leave_no_descriptor_behind(far: FarSide) -> None:
    def open_there() -> int:
        return len(os.listdir(f"/proc/{far.pid}/fd"))

    def both_ways(turn: int) -> None:
        value = np.full(300_000, float(turn))
        far.send({"value": value})
        assert (transfer.unpack(far.shipment("value"))["value"] == value).all()

    both_ways(0)
    both_ways(1)
    before = (open_there(), len(os.listdir("/proc/self/fd")))
    for turn in range(200):
        both_ways(turn)
    assert (open_there(), len(os.listdir("/proc/self/fd"))) == before


@pytest.mark.parametrize("has_memfd", [True, False])
def test_a_closed_arena_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_memfd: bool
) -> None:
    if not has_memfd:
        monkeypatch.delattr(os, "memfd_create")
    tmp_path.chmod(0o700)
    arena = Arena(tmp_path)
    shipment = transfer.ship(transfer.pack({"a": np.arange(1000)}), arena)
    assert transfer.unpack(shipment)["a"].sum() == 499_500
    assert list(tmp_path.iterdir()) == []

    path = arena.path
    arena.close()

    assert not Path(path).exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FlowError, match="the sender of variables is gone"):
        transfer.unpack(shipment)


def test_a_large_sending_is_given_back_by_trim() -> None:
    arena = Arena()
    try:
        arena.write([memoryview(bytes(KEPT_BYTES + 5_000_000))])
        arena.write([b"x" * 2_000_000])  # through the mapping
        arena.trim()
        assert arena.nbytes == Path(arena.path).stat().st_size == KEPT_BYTES
        places = arena.write([b"y" * (2 << 20), b"zz", b""])
        assert [offset % 64 for offset, _ in places] == [0, 0, 0]
        with Path(arena.path).open("rb") as file:
            assert os.pread(file.fileno(), 2, places[1][0]) == b"zz"
    finally:
        arena.close()


def test_overlapping_buffers_get_overlapping_places_and_others_do_not() -> None:
    data = memoryview(bytes(1000))
    buffers = [
        Buffer(data[0:100], 5000),
        Buffer(data[:50]),
        Buffer(data[50:150], 5050),
        Buffer(data[0:10], 5150),  # next to it, not in it
        Buffer(data[0:0], 5000),
    ]

    places = laid_out(buffers).places

    assert places[2][0] - places[0][0] == 50
    assert places[0][0] % 64 == 5000 % 64
    assert sorted(sorted(members) for _, _, members in regions(places)) == [[0, 2], [1], [3], [4]]


def test_damage_on_the_way_is_noticed() -> None:
    shipment, frames = transfer.inline(transfer.pack({"a": [1], "b": np.arange(9)}))

    with pytest.raises(FlowError, match="damaged"):
        transfer.unpack(shipment, [frames[0][:-2] + b"..", *frames[1:]])
    with pytest.raises(FlowError, match="cut"):
        transfer.unpack(shipment, frames[:1])
    with pytest.raises(FlowError, match="another version"):
        transfer.unpack({**shipment, "v": 2}, frames)


def test_equal_contents_have_equal_digests_and_large_ones_have_none() -> None:
    def digest(value: object) -> str:
        return transfer.pack({"x": value}).digest()

    assert digest([1, np.arange(5)]) == digest([1, np.arange(5)]) != digest([1, np.arange(6)])
    assert digest(np.zeros(500_000)) != digest(np.zeros(500_000))


def test_nothing_is_nothing() -> None:
    assert here_and_back({}) == {}
