"""What is written early is what the writer sees, whatever the classes of its values do to others.

A class that frees memory while it is pickled gets it back for what it makes next: the address and
the length are those of what was written early.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flow_kernel.session.checkpoints import capture
from flow_kernel.session.checkpoints.anchors import anchors_of
from flow_kernel.session.checkpoints.reach_types import known_types
from flow_kernel.store.snapshots import fast
from flow_kernel.store.snapshots.segments import Chunks
from flow_kernel.store.snapshots.writer import ChunkWriter

LENGTH = 5_000_000
"""40 MB: the system gives the memory of such an array back at once, and out again."""
SHARED: dict[str, Any] = {}


class Wanted:
    """A reader that is there to the end."""

    def __init__(self) -> None:
        self._ends = os.pipe()

    def __call__(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._ends[1]

    def close(self) -> None:
        for end in self._ends:
            os.close(end)


class Careless:
    """Frees something of another variable before it is pickled."""

    def __init__(self, free: Callable[[], object]) -> None:
        self.free = free

    def __getstate__(self) -> dict[str, Any]:
        self.free()
        return {"w": np.full(LENGTH, 7.0)}


def drop_a_column() -> None:
    del SHARED["df"]["tmp"]


def put_together() -> None:
    SHARED["df"]._consolidate_inplace()


def make_short() -> None:
    SHARED["X"].resize(1, refcheck=False)


@pytest.fixture
def values() -> Iterator[dict[str, Any]]:
    df = pd.DataFrame({"a": np.arange(float(LENGTH))})
    df["tmp"] = np.arange(LENGTH) * 3.0
    SHARED.update(df=df, X=np.arange(float(LENGTH)))
    yield dict(SHARED)
    SHARED.clear()


def buffers(where: Path, values: dict[str, Any], *, is_first: bool) -> dict[str, Any]:
    """The buffers of each variable, as a manifest lists them."""
    look = capture.Look(types=known_types(), namespace={}, is_wide=False, is_first=is_first)
    chunks = Chunks(where)
    wanted = Wanted()
    try:
        found = capture.capture(
            values,
            anchors_of({}, {}),
            lambda: ChunkWriter(where, chunks, owner="s"),
            look,
            wanted=wanted,
        )
    finally:
        wanted.close()
    assert found["not_saved"] == []
    return {name: group["buffers"] for group in found["groups"] for name in group["names"]}


@pytest.mark.parametrize(
    ("free", "has_fast"),
    [
        (drop_a_column, False),
        (put_together, False),
        (make_short, False),
        (drop_a_column, True),
        pytest.param(put_together, True, marks=pytest.mark.soak),
        pytest.param(make_short, True, marks=pytest.mark.soak),
    ],
)
def test_what_lies_where_something_lay_that_was_written_early_is_written_as_it_is(
    tmp_path: Path,
    values: dict[str, Any],
    free: Callable[[], object],
    has_fast: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not has_fast:
        monkeypatch.setattr(fast, "_xxh3_128", None)
        monkeypatch.setattr(capture, "HAS_FAST", False)
    values = {"careless": Careless(free), **values}
    early = buffers(tmp_path / "early", values, is_first=True)
    assert early == buffers(tmp_path / "late", values, is_first=False)
