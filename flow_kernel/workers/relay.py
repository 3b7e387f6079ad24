"""One thread that reads what all workers of a session say, and writes what is said to them.

Built by `pool`. It owns the sockets: other threads post calls to it. So output comes while the
session's main thread waits, works or sleeps, also what a thread of a worker says after its cell.
"""

import contextlib
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Protocol

import zmq

from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.receiving import has_message, received, received_bytes

_IN_A_ROW: Final = 64
_READ_BYTES: Final = 1 << 18
_READS: Final = 4
"""Of a pipe in a row: as much as one can hold. A writer that never stops would keep the thread."""
_LOOK_MS: Final = 5
_WAKE: Final = b"\0"
_LOG: Final = logging.getLogger(__name__)


class Listener(Protocol):
    """What the relay tells of one worker; called in its thread."""

    def on_iopub(self, frames: Sequence[bytes]) -> None:
        """A message of its IOPub channel."""

    def on_reply(self, frames: Sequence[bytes]) -> None:
        """A message of its shell channel."""

    def on_control(self, frames: Sequence[bytes]) -> None:
        """A message of its control channel."""

    def on_stdin(self, frames: Sequence[bytes]) -> None:
        """It asks for input."""

    def on_bytes(self, number: int, data: bytes) -> None:
        """Bytes of its pipe of that number; empty at the end."""


class Relay:
    """The thread and its poller; `close` ends it.

    Args:
        backlog: Of the channel that all goes to. While it is full no pipe is read, so that native
            code waits, and no worker is told that what it said was taken.
    """

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog
        self._held: list[Callable[[], None]] = []
        self._pipes: set[int] = set()
        self._is_full = False
        self._posted: deque[Callable[[], None]] = deque()
        self._wakes, self._wake = socket.socketpair()  # Windows polls no pipe
        self._wake.setblocking(False)
        self._wakes.setblocking(False)
        self._poller = zmq.Poller()
        self._handlers: dict[Any, Callable[[Any], object]] = {}
        self._on(self._wakes.fileno(), self._run_posted)
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="flow-relay", daemon=True)
        self._thread.start()

    def post(self, call: Callable[[], None]) -> None:
        """Have the thread make a call, after those that were posted before."""
        self._posted.append(call)
        with contextlib.suppress(BlockingIOError, OSError):  # it will wake anyway
            self._wake.send(_WAKE)

    def add(self, channels: Any, pipes: Sequence[int], listener: Listener) -> None:
        """Begin to listen to a worker; to be posted."""
        self._on_socket(channels.iopub, listener.on_iopub, received)
        self._on_socket(channels.shell, listener.on_reply)
        self._on_socket(channels.control, listener.on_control)
        self._on_socket(channels.stdin, listener.on_stdin)
        for number, fd in enumerate(pipes):
            os.set_blocking(fd, False)
            self._pipes.add(fd)
            self._handlers[fd] = partial(self._read_pipe, number, listener)
            if not self._is_full:
                self._poller.register(fd, zmq.POLLIN)

    def drop(self, channels: Any, pipes: Sequence[int]) -> None:
        """Listen no more; to be posted."""
        for each in (channels.iopub, channels.shell, channels.control, channels.stdin, *pipes):
            self._off(each)

    def listen(self, socket: Any, take: Callable[[Sequence[bytes]], None]) -> None:
        """Have `take` called with what comes on one more socket; in the thread."""
        self._on_socket(socket, take)

    def watch(self, fd: int, read: Callable[[int], object]) -> None:
        """Have `read` called while there is something to be read from `fd`; in the thread."""
        self._on(fd, read)

    def forget(self, what: Any) -> None:
        """Listen to a socket or a descriptor no more; in the thread."""
        self._off(what)

    def when_free(self, call: Callable[[], None]) -> None:
        """Call once the backlog is not full; in the thread."""
        self._held.append(call)
        self._mind_backlog()

    def drain(self, channels: Any, pipes: Sequence[int], wait_ms: int = 0) -> None:
        """Take what has arrived, and what arrives within `wait_ms` of it; to be posted."""
        for each in (channels.iopub, channels.shell, channels.stdin):
            while each in self._handlers and (not wait_ms or each.poll(wait_ms)):
                if not self._handle(each) and not wait_ms:  # to poll takes longer than to read
                    break
        for fd in pipes:
            if fd in self._handlers:
                self._handle(fd)

    def close(self) -> None:
        """End the thread and wait for it."""
        self.post(self._end)
        if threading.current_thread() is not self._thread:
            self._thread.join(5.0)

    # -- inside ------------------------------------------------------------------------------------

    def _on(self, what: Any, handler: Callable[[Any], object]) -> None:
        self._handlers[what] = handler
        self._poller.register(what, zmq.POLLIN)

    def _off(self, what: Any) -> None:
        if self._handlers.pop(what, None) is None:
            return
        if what in self._poller:
            self._poller.unregister(what)
        self._pipes.discard(what)

    def _mind_backlog(self) -> None:
        self._backlog.look()
        is_full = self._backlog.is_full
        if is_full != self._is_full:
            self._is_full = is_full
            for fd in self._pipes:
                if is_full:
                    self._poller.unregister(fd)
                else:
                    self._poller.register(fd, zmq.POLLIN)
        if not is_full and self._held:
            held, self._held = self._held, []
            for call in held:
                _guarded(call)

    def _on_socket(
        self,
        socket: Any,
        take: Callable[[Sequence[bytes]], None],
        receive: Callable[[Any], Sequence[bytes]] = received_bytes,
    ) -> None:
        def read(socket: Any) -> bool:
            for _ in range(_IN_A_ROW):  # then the others have their turn
                if not has_message(socket):  # to be told by an error takes longer
                    return False
                take(receive(socket))
            return True

        self._on(socket, read)

    def _read_pipe(self, number: int, listener: Listener, fd: int) -> None:
        for _ in range(_READS):
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._off(fd)
            listener.on_bytes(number, data)
            if not data:
                return

    def _run(self) -> None:
        while not self._is_closed:
            for each, _ in self._poller.poll(_LOOK_MS if self._is_full else None):
                if each in self._handlers:
                    self._handle(each)
            self._mind_backlog()
        for each in list(self._handlers):
            self._off(each)
        self._wake.close()
        self._wakes.close()

    def _handle(self, each: Any) -> object:
        """Take what has come; true where there may be more of it."""
        try:
            return self._handlers[each](each)
        except Exception:  # noqa: BLE001 - the boundary of the thread: one message costs itself only
            _LOG.exception("flow: a message of a worker was dropped")
            return True

    def _run_posted(self, _fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wakes.recv(4096)
        while self._posted:
            _guarded(self._posted.popleft())

    def _end(self) -> None:
        self._is_closed = True


def _guarded(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # noqa: BLE001 - the boundary of the thread: one call costs itself only
        _LOG.exception("flow: a call to a worker failed")
