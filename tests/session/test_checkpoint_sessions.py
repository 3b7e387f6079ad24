"""Whatever a session holds comes back as it was, and equal content is saved as equal bytes."""

import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_kernel.session.checkpoints.anchors import anchors_of
from flow_kernel.session.checkpoints.saving import Saved, save
from tests.session.random_session import session
from tests.session.saved_values import assert_same, saved_and_loaded
from tests.session.test_checkpoint_values import graph
from tests.source import ROOT


def check(seed: int) -> None:
    before = session(seed)
    after, saved = saved_and_loaded(before)
    assert saved.not_saved == []
    assert_same(before, after)


def saved_of(space: dict[str, Any]) -> Saved:
    values = {name: value for name, value in space.items() if not name.startswith("__")}
    return save(values, anchors_of(space, {}))


def written(saved: Saved) -> list[tuple[object, ...]]:
    return [(group.names, group.stream, *map(bytes, group.buffers)) for group in saved.groups]


@given(st.integers(0, 10**9))
@settings(max_examples=300, deadline=None)
def test_any_session_comes_back_as_it_was(seed: int) -> None:
    check(seed)


@pytest.mark.soak
@given(st.integers(0, 10**9))
@settings(max_examples=100_000, deadline=None)
def test_any_of_100000_sessions_comes_back_as_it_was(seed: int) -> None:
    check(seed)


@given(st.integers(0, 10**9))
@settings(max_examples=50, deadline=None)
def test_a_session_that_did_not_change_is_saved_as_the_same_bytes(seed: int) -> None:
    space = session(seed)
    assert written(saved_of(space)) == written(saved_of(space))


@given(st.integers(0, 10**9))
@settings(max_examples=50, deadline=None)
def test_containers_and_arrays_that_came_back_are_saved_as_the_same_bytes(seed: int) -> None:
    space = graph(seed)
    after, saved = saved_and_loaded(space)
    assert written(saved_of(after)) == written(saved)


def test_what_is_saved_does_not_depend_on_the_process() -> None:
    program = (
        "from tests.session.test_checkpoint_sessions import *\n"
        "import hashlib, sys\n"
        "parts = (written(saved_of(session(seed))) for seed in range(20))\n"
        "sys.stdout.write(hashlib.sha256(repr(list(parts)).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
