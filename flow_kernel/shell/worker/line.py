"""The worker's end of the line on which its jobs come; `workers.line` tells why there is one.

Used by the kernel of `shell.worker.app`. A job is run by what ipykernel gives its shell channel
thread to call in the main thread, in the same order and in the same context. What that thread
passes on is counted here, and what came on the line before it is passed on first. The event loops
of GUI toolkits watch for what that thread passes on: from the first of them on, it reads the line
instead.

Proven for ipykernel 7.0 to 7.4 with `shell.channels.shell_channel`; where that is not in place,
`open_line` opens none, and jobs come on the shell channel.
"""

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import zmq
from tornado.ioloop import IOLoop

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.channels.quick_dispatch import QuickDispatchKernel
from flow_kernel.shell.channels.shell_channel import LoopPair
from flow_kernel.workers.line import Packet, receive
from flow_kernel.workers.line_words import Speaker

globals()["__builtins__"] = FROZEN_BUILTINS


class WorkerLine:
    """See the module.

    Args:
        kernel: Of the worker, which has started; in its main thread.
        pair: Its shell channel thread passes on requests through it.
        sock: The line.
    """

    def __init__(self, kernel: Any, pair: LoopPair, sock: socket.socket) -> None:
        self._kernel = kernel
        self._pair = pair
        self._sock = sock
        self._pid = os.getpid()
        self._speaker = Speaker(sock)
        kernel.iopub_thread.speaker = self._speaker
        self._reading = threading.Lock()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._passed = 0
        """Messages of the shell channel that were passed on."""
        self._early: deque[Packet] = deque()
        """Jobs that stand behind others on the shell channel which have not been passed on yet."""
        loop: Any = IOLoop.current()
        self._loop = loop.asyncio_loop
        self._loop.add_reader(sock, self._on_job)
        kernel.observe(self._move, "eventloop")

    def before(self) -> None:
        """The shell channel thread has a message: what came here first is passed on first."""
        with self._reading:
            self._read()
            self._pass_on()

    def passed(self) -> None:
        """The message was passed on."""
        with self._reading:
            self._passed += 1
            self._pass_on()

    # -- inside ------------------------------------------------------------------------------------

    def _on_job(self) -> None:
        """In the loop of the main thread: behind what it has been given already."""
        with self._reading:
            self._read()
        while (packet := self._next_to_run()) is not None:
            self._run(_frames(packet))  # a loop of the user's may run all of the cell in it

    def _next_to_run(self) -> Packet | None:
        """A job that may run here, which is one turn of the loop less; others are passed on."""
        with self._reading:
            if self._pair._sockets is None and not self._pair._waiting:
                return next(self._due(), None)
            self._pass_on()  # behind those that wait, before any that may come
            return None

    def _run(self, frames: list[Any]) -> None:
        callback: Any = self._pair._callback
        if callback is not None:
            task = asyncio.ensure_future(callback(frames))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _pass_on(self) -> None:
        for packet in self._due():
            self._pair.send_multipart(_frames(packet))

    def _read(self) -> None:
        if os.getpid() != self._pid:  # a fork has the jobs of its parent before it
            return
        try:
            while self._speaker.is_there():
                self._early.append(receive(self._sock))
                self._speaker.is_heard = True
        except BlockingIOError:
            return
        except (EOFError, OSError):  # the session has ended, and soon this process does
            self._loop.call_soon_threadsafe(self._loop.remove_reader, self._sock)

    def _due(self) -> Iterator[Packet]:
        while self._early and self._early[0].before <= self._passed:
            yield self._early.popleft()

    def _move(self, change: Any) -> None:
        """A GUI keeps the loop of the main thread to itself."""
        if change["new"] is not None:
            self._loop.remove_reader(self._sock)
            other = self._kernel.shell_channel_thread.io_loop.asyncio_loop
            other.call_soon_threadsafe(other.add_reader, self._sock, self.before)


class LineKernel(QuickDispatchKernel):
    """A kernel that has such a line once it is given one."""

    line: WorkerLine | None = None

    def open_line(self, fd: int) -> None:
        """Take jobs from a descriptor, where the ground is ours; after the start."""
        sock = socket.socket(fileno=fd)
        sock.set_inheritable(False)
        with suppress(AttributeError):  # another ipykernel
            pair = self.shell_channel_thread.manager.get_shell_channel_to_subshell_pair(None)
            if type(pair) is LoopPair:
                self.line = WorkerLine(self, pair, sock)
                return
        sock.close()

    def shell_channel_thread_main(self, msg: Sequence[Any]) -> Any:
        """Pass on a message of the shell channel, behind the jobs that were sent before it."""
        line = self.line
        if line is None:
            return super().shell_channel_thread_main(msg)
        line.before()
        found: Any = None
        try:
            found = super().shell_channel_thread_main(msg)
        finally:  # what failed counts as well: jobs behind it wait for its number
            if found is None:
                line.passed()
        return None if found is None else _to_its_end(found, line)


async def _to_its_end(passing: Any, line: WorkerLine) -> None:
    try:
        await passing
    finally:
        line.passed()


def _frames(packet: Packet) -> list[Any]:
    return [zmq.Frame(frame) for frame in packet.frames]
