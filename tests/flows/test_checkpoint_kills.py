"""SIGKILL at any instant of a kernel that takes checkpoints: what it told of is all there."""

import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flow_kernel.records.home import Home
from flow_kernel.session.checkpoints.anchors import Anchors
from flow_kernel.session.checkpoints.checkpoint import Checkpoint
from flow_kernel.session.checkpoints.loading import load
from flow_kernel.session.checkpoints.shelf import Shelf
from tests.forked import NO_HISTORY, ForkedKernel, Zygote
from tests.promises import promise

CELL = """
import numpy as np
from flow_kernel import current_session
big, last = np.zeros(100_000), None
for i in range(10**6):
    n = [{turn}, i]; big[:i] = i
    kept = current_session().checkpoint(f"{turn}-{{i}}", wait={waits})
    if last is not None and last.is_done and last.error is None:
        print("kept", last.checkpoint_id, i - 1, flush=True)
    last = kept
"""


@promise("checkpoint.survives")
@pytest.mark.timeout(240)
def test_eight_kills_of_a_kernel_lose_no_checkpoint_that_it_told_of(
    lean: Zygote, tmp_path: Path
) -> None:
    kill(lean, tmp_path / "home", kills=8, seed=1)


@promise("checkpoint.survives")
@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("batch", range(50))
def test_a_hundred_kills_of_a_kernel_lose_no_checkpoint_that_it_told_of(
    lean: Zygote, tmp_path: Path, batch: int
) -> None:
    kill(lean, tmp_path / "home", kills=100, seed=100 + batch)


def kill(lean: Zygote, home: Path, *, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    shelf = Shelf(Home(home), key=lambda: b"any")
    told = 0
    with ExitStack() as ends:

        def begun() -> ForkedKernel:
            return ends.enter_context(ForkedKernel(lean, home=home, arguments=NO_HISTORY))

        spare = begun()
        for turn in range(kills):
            kernel, spare = spare, begun()
            with kernel:
                kept = _kept_before_the_kill(kernel, turn, dice)
            told += len(kept)
            here = {one.checkpoint_id: one for one in shelf.all()}
            assert kept.keys() <= here.keys()
            for checkpoint_id, number in kept.items():
                _is_whole(shelf, here[checkpoint_id], turn, number)
            for one in here.values():  # told of or not, it is complete
                if one.name.startswith(f"{turn}-"):
                    _is_whole(shelf, one, turn, int(one.name.partition("-")[2]))
            assert shelf.damaged == {}
        spare.shutdown()
    assert told >= kills


def _kept_before_the_kill(kernel: ForkedKernel, turn: int, dice: random.Random) -> dict[str, int]:
    """Let a kernel take checkpoints, and kill it after some; returns those that it told of."""
    kernel.send(CELL.format(turn=turn, waits=dice.random() < 0.7))
    enough = dice.randint(1, 6)
    kernel.wait(lambda: kernel.stream().count("kept ") >= enough)
    kernel.kill()
    while kernel.pump(0.02):
        pass
    lines = [line.split() for line in kernel.stream().splitlines()]
    return {words[1]: int(words[2]) for words in lines if len(words) == 3 and words[0] == "kept"}


def _is_whole(shelf: Shelf, one: Checkpoint, turn: int, number: int) -> None:
    anchors = Anchors({name: object() for name in one.anchors})
    found: dict[str, Any] = {}
    for group in one.groups:
        if group.names in (("n",), ("big",)):
            buffers = [shelf.content(part, is_code=False) for part in group.buffers]
            stream = bytes(shelf.content(group.stream))
            found.update(
                zip(group.names, load(stream, buffers, anchors, [*one.anchors]), strict=True)
            )
    expected = np.zeros(100_000)
    expected[:number] = number
    assert found["n"] == [turn, number]
    np.testing.assert_array_equal(found["big"], expected)
