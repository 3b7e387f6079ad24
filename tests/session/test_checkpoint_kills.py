"""kill -9 of a writer at any moment: what it told of is there, the rest is absent or complete."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_kernel.session.checkpoints.checking import check_checkpoints
from flow_kernel.session.checkpoints.pruning import prune
from tests.session.checkpoint_writer import value_of
from tests.session.shelves import contents, shelf_at
from tests.source import ROOT

FAST = 30
SOAK = 5_000
PRUNE_EVERY = 100


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.session.checkpoint_writer", str(tmp_path), tmp_path.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    yield process
    process.communicate()


def kill_some(writers: subprocess.Popen[str], root: Path, times: int) -> None:
    assert writers.stdin is not None
    assert writers.stdout is not None
    told = 0
    shelf = shelf_at(root)
    for turn in range(times):
        writers.stdin.write("\n")
        writers.stdin.flush()
        said = [line.split() for line in json.loads(writers.stdout.readline())]
        told += len(said)
        here = {one.checkpoint_id: one for one in shelf.all() if one.name == str(turn)}
        assert {one[0] for one in said} <= here.keys()
        assert len(here) <= len(said) + 1  # the last one may have been told of to nobody
        for one in here.values():
            expected = {"x": value_of(turn, one.seq), "same": b"same" * 50}
            assert contents(shelf, one) == expected
        assert shelf.damaged == {}
        if turn % PRUNE_EVERY == PRUNE_EVERY - 1:
            prune(shelf, keep=5, files=None)
    assert told > times // 2
    assert check_checkpoints(shelf_at(root)).damaged == []


def test_a_killed_writer_loses_nothing_that_it_told_of(
    writers: subprocess.Popen[str], tmp_path: Path
) -> None:
    kill_some(writers, tmp_path, FAST)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_five_thousand_killed_writers_lose_nothing_that_they_told_of(
    writers: subprocess.Popen[str], tmp_path: Path
) -> None:
    kill_some(writers, tmp_path, SOAK)
