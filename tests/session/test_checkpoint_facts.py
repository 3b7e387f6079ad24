"""What a save says of values is so, whatever their classes say of themselves."""

import copyreg
import gc
import os
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from flow_kernel.session.checkpoints.anchors import anchors_of
from flow_kernel.session.checkpoints.capture import Look, capture
from flow_kernel.session.checkpoints.reach_facts import landmarks
from flow_kernel.session.checkpoints.reach_types import known_types
from flow_kernel.session.checkpoints.saving import save
from flow_kernel.store.snapshots.content import listed
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter
from tests.session.saved_values import saved_and_loaded


class Wanted:
    """A reader that is there to the end."""

    def __init__(self, mouth: int) -> None:
        self._mouth = mouth

    def __call__(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._mouth


class Lazy:
    """Says what it is only once it is set up."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("not set up")


def captured(where: Path, values: dict[str, Any], *, is_first: bool = False) -> dict[str, Any]:
    look = Look(types=known_types(), namespace={}, is_wide=False, is_first=is_first)
    chunks = Chunks(where)
    chunks.refresh()
    ends = os.pipe()
    try:
        return capture(
            values,
            anchors_of({}, {}),
            lambda: ChunkWriter(where, chunks, owner="s"),
            look,
            wanted=Wanted(ends[1]),
        )
    finally:
        for end in ends:
            os.close(end)


def nameless() -> types.ModuleType:
    module = types.ModuleType("m")
    del module.__name__
    return module


@pytest.mark.parametrize("made", [Lazy, nameless])
def test_a_value_that_raises_when_it_is_asked_costs_no_other(
    tmp_path: Path, made: Callable[[], object]
) -> None:
    found = captured(tmp_path, {"a": [1], "bad": made(), "y": [5], "z": (6,)})
    left = {name for name, _, _ in found["not_saved"]}
    assert left <= {"bad"}
    assert {"a", "y", "z"} <= {name for group in found["groups"] for name in group["names"]}


def test_what_was_written_early_is_counted(tmp_path: Path) -> None:
    large = np.random.default_rng(1).random(8_000_000)
    found = captured(tmp_path, {"large": large, "small": [1]}, is_first=True)
    there = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert large.nbytes < found["bytes_new"] <= there
    assert captured(tmp_path, {"large": large}, is_first=True)["bytes_new"] < 10_000


def test_what_was_written_early_is_what_would_have_been_written_later(tmp_path: Path) -> None:
    large = np.random.default_rng(1).random((1_000_000, 8))
    values = {"large": large, "same": large, "view": large[:, :3], "other": large + 1, "n": [1]}
    early = captured(tmp_path / "a", values, is_first=True)
    assert early == captured(tmp_path / "b", values)
    assert early["bytes_new"] < 2.1 * large.nbytes


class Killer:
    """Kills whoever writes for its writer, at a moment at random."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s

    def __reduce__(self) -> tuple[Any, ...]:
        children = psutil.Process().children()
        psutil.wait_procs(children, timeout=self.after_s)
        for child in children:
            with suppress(psutil.NoSuchProcess):  # it was quick
                child.kill()
        return Killer, (self.after_s,)


@pytest.mark.parametrize("after_s", [0, 0.01, 0.02, 0.03])
def test_whenever_the_early_writer_is_killed_everything_is_written(
    tmp_path: Path, after_s: float
) -> None:
    values = {"a": Killer(after_s), "large": np.random.default_rng(1).random(8_000_000)}
    found = captured(tmp_path / "a", values, is_first=True)
    assert found["not_saved"] == []
    assert found["groups"] == captured(tmp_path / "b", values)["groups"]
    chunks = Chunks(tmp_path / "a")
    chunks.refresh()
    parts = [part for group in found["groups"] for part in group["buffers"]]
    (listing,) = [part["list"] for part in parts if "list" in part]
    pieces = (chunks.read(one) for one in listed(chunks.read(bytes.fromhex(listing))))
    assert b"".join(pieces) == values["large"].tobytes()


def test_a_value_of_several_names_is_written_once(tmp_path: Path) -> None:
    value = {f"k{number}": [number] for number in range(20_000)}
    once, twice = ({"a": value}, {"a": value, "b": value, "c": value})
    sizes = [captured(tmp_path / str(len(v)), v)["groups"][0]["stream"] for v in (once, twice)]
    assert sizes[0] == sizes[1]
    after, _ = saved_and_loaded(twice)
    assert after["a"] is after["b"] is after["c"]
    assert after["a"] == value


def bare(space: dict[str, Any], values: dict[str, Any]) -> frozenset[str]:
    anchors = anchors_of(space, {})
    return save(values, anchors, landmarks=landmarks(space, anchors.by_name.values())).bare


def test_only_containers_that_hold_nothing_of_the_session_are_bare() -> None:
    space: dict[str, Any] = {"In": []}
    values = {"plain": [1, {"a": (2, "b")}], "held": [space], "own": space, "shell": space["In"]}
    assert bare(space, values) == {"plain"}


def test_nothing_is_bare_where_the_collector_or_pickle_do_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    space: dict[str, Any] = {}
    held = [space]
    gc.freeze()
    try:
        assert bare(space, {"held": held}) == frozenset()
    finally:
        gc.unfreeze()
    monkeypatch.setitem(vars(copyreg)["_extension_registry"], ("json", "dumps"), 240)
    assert bare(space, {"plain": [1]}) == frozenset()
