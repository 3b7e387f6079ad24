"""SIGKILL at any instant of a busy kernel: every record that was acknowledged is in the log."""

import random
import re
from pathlib import Path

import pytest

from flow_kernel.records.codec import NO_PREVIOUS
from tests.forked import NO_HISTORY
from tests.kernels import Kernel
from tests.logs import Record, TaskLogs
from tests.promises import promise

_HEADER = re.compile(rb'\{"v":1,"kind":"(\w+)","session":"(\w+)","seq":(\d+),')
CELLS = (
    "x = 1",
    "print('out')",
    "y = list(range(100)); y",
    "1/0",
    "text = 'z' * 20_000; print(text)",
    "import threading; threading.Thread(target=print, args=('thread',)).start()",
    "get_ipython().run_cell('n = 1')",
    "# " + "long " * 2_000,
)


@promise("kill.lossless", "death.recorded")
@pytest.mark.parametrize("batch", range(2))
def test_twenty_kills_of_a_busy_kernel_lose_nothing(tmp_path: Path, batch: int) -> None:
    _kill(tmp_path / "home", kills=20, seed=batch)


@promise("kill.lossless", "death.recorded")
@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", range(100))
def test_a_hundred_kills_of_a_busy_kernel_lose_nothing(tmp_path: Path, batch: int) -> None:
    _kill(tmp_path / "home", kills=100, seed=1000 + batch)


def _kill(home: Path, *, kills: int, seed: int) -> None:
    """Kill kernels of one home in turn, the next one starting while the last one works."""
    chance = random.Random(seed)
    acknowledged: dict[str, int] = {}
    spare = Kernel(home=home, arguments=NO_HISTORY)
    for _ in range(kills):
        kernel, spare = spare, Kernel(home=home, arguments=NO_HISTORY)
        with kernel:
            acknowledged |= _acknowledged_before_the_kill(kernel, chance)
    with spare:
        spare.shutdown()
    with Kernel(home=home, arguments=NO_HISTORY) as last:
        last.run("the_end = 1")

    # A kill in the middle of a write leaves the head of a line that nobody was told of.
    logs = TaskLogs(home, may_be_torn=True)
    cells = {r["msg_id"]: r["seq"] for r in logs.records("cell") if r["parent_span_id"] is None}
    assert {msg_id: cells.get(msg_id) for msg_id in acknowledged} == acknowledged
    assert len(acknowledged) >= kills
    _chains_are_whole(logs.records())
    _torn_lines_were_the_last_of_their_sessions(logs)


def _acknowledged_before_the_kill(kernel: Kernel, chance: random.Random) -> dict[str, int]:
    """Keep a kernel busy, kill it after some replies; returns what it had acknowledged."""
    sent = {kernel.send(chance.choice(CELLS), stop_on_error=False) for _ in range(40)}
    enough = chance.randint(1, 25)
    kernel.wait(lambda: len(sent & kernel.replies.keys()) >= enough)
    kernel.kill()
    while kernel.pump(0.02):
        pass
    replies = {
        msg_id: kernel.replies[msg_id]["metadata"] for msg_id in sent & kernel.replies.keys()
    }
    return {msg_id: metadata["flow"]["seq"] for msg_id, metadata in replies.items()}


def _torn_lines_were_the_last_of_their_sessions(logs: TaskLogs) -> None:
    for line in logs.torn:
        found = _HEADER.match(line)
        if found is None:
            assert len(line) < 100, line  # cut in its header: it could be anybody's
            continue
        _, session, seq = (part.decode() for part in found.groups())
        death = logs.one("death", session=session)
        assert death["seq"] == int(seq)  # the number was free: nothing was acknowledged under it


def _chains_are_whole(records: list[Record]) -> None:
    """Each session counts from 1 without a gap and ends in one death, but for the last one."""
    sessions: dict[str, list[Record]] = {}
    for record in records:
        sessions.setdefault(record["session"], []).append(record)
    alive = [s for s, rs in sessions.items() if "death" not in {r["kind"] for r in rs}]
    assert [[r["code"] for r in sessions[s] if r["kind"] == "cell"] for s in alive] == [
        ["the_end = 1"]
    ]
    for of_session in sessions.values():
        assert [r["seq"] for r in of_session] == list(range(1, len(of_session) + 1))
        assert [r["kind"] for r in of_session].count("death") <= 1
        assert of_session[0]["prev"] == NO_PREVIOUS
