"""The watchdog of a cell takes nothing that was done to look at it for what the cell does."""

import os
import signal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flow_kernel.session.isolation.blocks import Block
from flow_kernel.session.isolation.watchdog import Watchdog
from flow_kernel.workers import thread_looks
from flow_kernel.workers.heart import NoHeart
from flow_kernel.workers.job import Job
from flow_kernel.workers.limits import Limits
from flow_kernel.workers.said import Said
from flow_kernel.workers.thread_looks import Doing
from tests.workers.trees import Program, until

pytestmark = pytest.mark.skipif(not thread_looks.HAS_PROC, reason="nobody can look here")


class Told:
    """What the watchdog of a process has told."""

    def __init__(self, pid: int) -> None:
        self.blocks: list[Block] = []
        self.doing: list[str | None] = []
        worker: Any = SimpleNamespace(
            worker_id="w1",
            pid=pid,
            is_far=False,
            rss_before_bytes=0,
            env={},
            said=Said(None),
            heart=NoHeart(),
            ask_for_glimpses=lambda _: None,
            tell=lambda _, doing, **__: self.doing.append(doing),
        )
        job = Job(header={"msg_id": "1"}, content={})
        self.dog = Watchdog(worker, job, Limits(), code="", witness=cast("Any", self))

    def blocked(self, block: Block) -> None:
        self.blocks.append(block)


@pytest.mark.parametrize("stands", [True, False], ids=["for a count", "by somebody else"])
def test_what_stands_still_to_be_counted_is_not_told_to_be_stopped(*, stands: bool) -> None:
    with Program("tell(0)\nrest()") as program:
        program.number()
        told = Told(program.pid)
        os.kill(program.pid, signal.SIGSTOP)
        until(lambda: _is_stopped(program.pid))
        for tenths in range(11, 31):
            told.dog.look(tenths / 10, None, stands=stands)
        os.kill(program.pid, signal.SIGCONT)

    assert [block.detail for block in told.blocks] == ([] if stands else ["stopped"])
    assert ("stopped" in told.doing) is not stands


def _is_stopped(pid: int) -> bool:
    seen = thread_looks.look(pid, pid)
    return seen is not None and seen.doing is Doing.STOPPED
