"""Jobs on the line keep their place among what comes on the shell channel, whatever a cell did.

The kernel around the line is left out: what the line asks it for is real.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import zmq
from tornado.ioloop import IOLoop

from flow_kernel.shell.channels.quick_dispatch import QuickDispatchKernel
from flow_kernel.shell.channels.shell_channel import LoopPair
from flow_kernel.shell.worker.line import LineKernel, WorkerLine
from flow_kernel.workers.line import CAN_BE, Line, line_pair
from tests.promises import promise

pytestmark = pytest.mark.skipif(not CAN_BE, reason="no such sockets")
_WAIT_S = 5.0


class Ground:
    """A line into this loop, beside the pair that the shell channel is passed on through."""

    def __init__(self) -> None:
        self.session: Line
        self.session, fd = line_pair(b"w1")
        self.sock = socket.socket(fileno=fd)
        self.context: zmq.Context[Any] = zmq.Context()
        self.pair = LoopPair(self.context, "main")
        self.ran: list[bytes] = []
        self._has_run = asyncio.Event()
        self.on_run: Callable[[], object] = lambda: None
        self.pair.on_recv(IOLoop.current(), self._run)
        kernel = SimpleNamespace(iopub_thread=SimpleNamespace(), observe=lambda *_: None)
        self.line = WorkerLine(kernel, self.pair, self.sock)

    def _run(self, frames: list[Any]) -> "asyncio.Future[None]":
        """As a loop of the user's that runs a task at once."""
        self.ran.append(bytes(frames[-1]))
        self._has_run.set()
        self.on_run()
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def until(self, count: int) -> list[bytes]:
        """What has run, once it is so many."""
        async with asyncio.timeout(_WAIT_S):
            while len(self.ran) < count:
                self._has_run.clear()
                await self._has_run.wait()
        return self.ran

    def close(self) -> None:
        """Closes both ends."""
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()
        self.session.close()
        self.context.destroy(0)


def _in_fork(call: Callable[[], object]) -> None:
    if (pid := os.fork()) == 0:
        call()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@promise("isolated.relay")
def test_a_job_runs_behind_what_was_passed_on_and_before_what_is_passed_on_later(
    runner: asyncio.Runner,
) -> None:
    async def go() -> list[bytes]:
        ground = Ground()
        ground.pair.send(b"first")
        ground.session.send([b"job"], before=0)
        ground.line._on_job()
        ground.pair.send(b"last")
        ran = await ground.until(3)
        ground.close()
        return ran

    assert runner.run(go()) == [b"first", b"job", b"last"]


@promise("isolated.relay")
def test_while_a_job_runs_requests_are_passed_on(runner: asyncio.Runner) -> None:
    async def go() -> tuple[list[bytes], list[bool]]:
        ground = Ground()
        has_waited: list[bool] = []

        def on_run() -> None:
            other = threading.Thread(target=ground.line.before)
            other.start()
            other.join(_WAIT_S)
            has_waited.append(other.is_alive())

        ground.on_run = on_run
        for job in (b"one", b"two"):
            ground.session.send([job], before=0)
        ran = await ground.until(2)
        ground.close()
        return ran, has_waited

    assert runner.run(go()) == ([b"one", b"two"], [False, False])


@promise("isolated.relay")
def test_a_fork_of_a_worker_takes_no_job_from_it(runner: asyncio.Runner) -> None:
    async def go() -> list[bytes]:
        ground = Ground()
        ground.session.send([b"job"], before=0)
        _in_fork(ground.line.before)
        ran = await ground.until(1)
        ground.close()
        return ran

    assert runner.run(go()) == [b"job"]


@promise("isolated.relay")
def test_a_file_of_a_cell_in_the_place_of_the_line_is_not_read(runner: asyncio.Runner) -> None:
    async def go() -> bytes:
        ground = Ground()
        ours, theirs = socket.socketpair()
        asyncio.get_running_loop().remove_reader(ground.sock)
        os.dup2(ours.fileno(), ground.sock.fileno())
        theirs.send(b"of the cell")
        ground.line.before()
        ours.setblocking(False)
        found = ours.recv(100)
        ours.close()
        theirs.close()
        ground.close()
        return found

    assert runner.run(go()) == b"of the cell"


@promise("isolated.relay")
def test_a_job_behind_a_request_that_could_not_be_passed_on_runs(runner: asyncio.Runner) -> None:
    class Failing(QuickDispatchKernel):
        def shell_channel_thread_main(self, msg: Any) -> Any:
            raise ValueError(msg)

    class Kernel(LineKernel, Failing):
        pass

    async def go() -> list[bytes]:
        ground, kernel = Ground(), Kernel.__new__(Kernel)
        kernel.line = ground.line
        ground.session.send([b"job"], before=1)
        with pytest.raises(ValueError, match="bad"):
            kernel.shell_channel_thread_main([b"bad"])
        ran = await ground.until(1)
        ground.close()
        return ran

    assert runner.run(go()) == [b"job"]
