"""What is small and known is saved without a fork, as it was at its moment."""

import copyreg
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flow_kernel.session.checkpoints.anchors import Anchors, anchors_of
from flow_kernel.session.checkpoints.capture import Look, capture_here
from flow_kernel.session.checkpoints.freezing import frozen
from flow_kernel.session.checkpoints.loading import load
from flow_kernel.session.checkpoints.reach_types import known_types
from flow_kernel.store.snapshots.content import listed
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter


def anchors() -> Anchors:
    return anchors_of({}, {})


def look() -> Look:
    return Look(types=known_types(), namespace={}, is_wide=False)


def writer(where: Path) -> Callable[[], ChunkWriter]:
    return lambda: ChunkWriter(where, Chunks(where), owner="s")


def loaded(where: Path, group: dict[str, Any]) -> dict[str, Any]:
    chunks = Chunks(where)
    chunks.refresh()

    def content(part: dict[str, Any]) -> bytes:
        digests = [bytes.fromhex(one) for one in part.get("chunks", ())]
        if "list" in part:
            digests = listed(chunks.read(bytes.fromhex(part["list"])))
        return b"".join(bytes(chunks.read(digest)) for digest in digests)

    buffers = [bytearray(content(part)) for part in group["buffers"]]
    values = load(content(group["stream"]), buffers, anchors(), anchors().names())
    return dict(zip(group["names"], values, strict=True))


def test_what_happens_afterwards_is_not_in_it(tmp_path: Path) -> None:
    values: dict[str, Any] = {
        "rows": [1, [2]],
        "X": np.arange(100_000.0),
        "df": pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    }
    saved = frozen(values, anchors(), writer(tmp_path), look())
    assert saved is not None
    values["rows"][1].append(3)
    values["X"][:] = -1
    values["df"].loc[0, "a"] = -1
    found: dict[str, Any] = {}
    for group in saved()["groups"]:
        found |= loaded(tmp_path, group)
    assert found["rows"] == [1, [2]]
    assert (found["X"] == np.arange(100_000.0)).all()
    assert found["df"]["a"].tolist() == [1.0, 2.0]


def test_it_says_what_a_child_would_say(tmp_path: Path) -> None:
    shared = [1]
    values: dict[str, Any] = {"a": shared, "b": {"k": shared}, "X": np.ones(3), "n": 5}
    saved = frozen(values, anchors(), writer(tmp_path / "1"), look())
    assert saved is not None
    there = capture_here(values, anchors(), writer(tmp_path / "2")(), look())
    here = saved()
    for document in (here, there):
        document["groups"].sort(key=lambda group: group["names"])
    assert here == there
    assert [group["names"] for group in here["groups"]] == [["X"], ["a", "b"], ["n"]]


class Own:
    """A class that is not known; its code must not run in the session."""

    def __reduce__(self) -> Any:
        raise AssertionError("it was pickled here")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(np.zeros(1_000_000), id="large"),
        pytest.param([[n] for n in range(20_000)], id="many objects"),
        pytest.param(["x" * 100_000] * 100, id="long texts"),
        pytest.param([Own()], id="own class"),
        pytest.param(Own, id="class"),
        pytest.param(lambda: 1, id="function"),
        pytest.param(iter([1]), id="iterator"),
        pytest.param(np.array([Own()], dtype=object), id="array of an own class"),
    ],
)
def test_what_is_large_or_not_known_is_left_to_a_child(tmp_path: Path, value: object) -> None:
    assert frozen({"value": value}, anchors(), writer(tmp_path), look()) is None
    assert not list(tmp_path.iterdir())


def test_nothing_is_pickled_here_that_other_code_has_a_say_in(tmp_path: Path) -> None:
    objects = np.array([1, 2, Own()], dtype=object)
    for value in (
        objects[:2],  # its owner is saved with it
        np.zeros(3, np.dtype("f8", metadata={"own": Own()})),
        np.zeros(3, np.dtype([("a", np.dtype("f8", metadata={"own": Own()}))])),
        np.random.Generator(np.random.PCG64(OwnSeeds())),
    ):
        assert frozen({"value": value}, anchors(), writer(tmp_path), look()) is None


def test_a_type_that_the_notebook_takes_apart_is_left_to_a_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def reduced(value): raise AssertionError", space)
    monkeypatch.setitem(copyreg.dispatch_table, Fraction, space["reduced"])
    assert frozen({"value": [Fraction(1, 3)]}, anchors(), writer(tmp_path), look()) is None


class OwnSeeds(np.random.bit_generator.ISeedSequence):
    """Seeds of a class that is not known."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        return np.arange(n_words, dtype=dtype)
