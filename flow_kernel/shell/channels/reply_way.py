"""The way of a reply to its client: the thread that has it sends it.

Used by `shell.channels.shell_channel`.

ipykernel hands a reply to the thread that reads the shell channel, which has to wake up for it and
sends it through a stream that is asked four times what it may do. Here it is sent by the thread
that has it, under a lock that the reading holds as well: ZeroMQ allows that, because a lock is a
full memory barrier.

To send takes the sign of a request that has just arrived from the descriptor which the reading
thread watches: ipykernel 7.0 to 7.3 lost requests so. After each reply the socket is asked whether
there is one, and the thread is told.

Proven for ipykernel 7.0 to 7.4 and pyzmq 25 to 27; where pyzmq's stream has another shape, replies
go as requests come.
"""

import inspect
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import zmq
from zmq.backend import Socket
from zmq.eventloop.zmqstream import ZMQStream

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.noted_signals import NotedSignals

globals()["__builtins__"] = FROZEN_BUILTINS

_getpid: Final = os.getpid
_option: Final[Callable[[Any, int], Any]] = Socket.get
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_NOT_SENT: Final = "flow: a reply was not sent"
_LOG: Final = logging.getLogger(__name__)

_Reply = tuple[Sequence[Any], bool]


class SharedStream(ZMQStream):
    """pyzmq's stream of a socket that other threads send through as well."""

    order: Any

    def _handle_events(self, fd: Any, events: Any) -> None:
        stock: Any = super()
        with self.order:
            stock._handle_events(fd, events)

    def _update_handler(self, state: int) -> None:
        stock: Any = super()
        with self.order:
            stock._update_handler(state)


def share(given: Any) -> Any:
    """Make a stream whose loop does not run yet one that others may send through."""
    stream: Any = given
    if is_usable() and type(given) is ZMQStream and type(stream.socket) is zmq.Socket:
        stream.order = threading.RLock()
        stream.__class__ = SharedStream
        stream.io_loop.remove_handler(stream.socket)
        stream.io_loop.add_handler(stream.socket, stream._handle_events, stream.io_loop.READ)
    return stream


def is_usable() -> bool:
    """True where pyzmq's stream looks after its socket in the two places that are known here."""
    try:
        return [*inspect.signature(ZMQStream._handle_events).parameters] == [
            "self",
            "fd",
            "events",
        ] and [*inspect.signature(ZMQStream._update_handler).parameters] == ["self", "state"]
    except (AttributeError, TypeError, ValueError):
        return False


class ReplyWay:
    """Stands for ipykernel's pair of sockets from one thread to that of the shell channel.

    Args:
        stream: What `share` has made.
        send_frames: Sends the frames of a message through a socket.
        check: Raises what is wrong with a message, before any of it is sent.
    """

    patience_s: float = 10.0
    """Longest wait for who reads; behind it the reply goes when the reading thread has a turn."""

    def __init__(
        self,
        stream: Any,
        send_frames: Callable[..., None],
        *,
        check: Callable[[Sequence[Any]], None],
    ) -> None:
        self._stream = stream
        self._check = check
        self._send_frames = send_frames
        self._pid = _getpid()
        self._behind: deque[_Reply] = deque()
        self._is_sending = False

    @property
    def from_socket(self) -> "ReplyWay":
        """The end that is written to."""
        return self

    def on_recv(self, *_: Any, **__: Any) -> None:
        """Nobody has to read."""

    def close(self) -> None:
        """Nothing is to be closed."""

    def send_multipart(self, parts: Sequence[Any], *_: Any, copy: bool = True, **__: Any) -> None:
        """Send a reply."""
        if _getpid() != self._pid:  # a fork has no client
            return
        self._check(parts)
        held = NotedSignals()
        reply = (parts, copy)
        try:
            with held:  # half of a message would spoil the next one as well
                self._behind.append(reply)
                self._send_behind(reply)
        finally:
            held.pass_on()

    def _send_behind(self, mine: _Reply | None = None) -> None:
        """Send all that waits for its turn; what is wrong with `mine` is raised."""
        stream = self._stream
        if not stream.order.acquire(True, self.patience_s):
            stream.io_loop.add_callback(self._send_behind)
            return
        try:
            if not self._is_sending:  # else from a finalizer, in the midst of another one
                self._send_all(stream, mine)
        finally:
            stream.order.release()

    def _send_all(self, stream: Any, mine: _Reply | None) -> None:
        wrong: Exception | None = None
        self._is_sending = True
        try:
            while self._behind:
                reply = self._behind.popleft()
                try:
                    self._send_one(stream, *reply)
                except Exception as error:  # noqa: BLE001 - it is that of who sent the reply
                    if reply is mine:
                        wrong = error
                    else:  # with no lock of ours: a handler of the log may want to send
                        stream.io_loop.add_callback(_LOG.error, _NOT_SENT, exc_info=error)
        finally:
            self._is_sending = False
        if wrong is not None:
            raise wrong

    def _send_one(self, stream: Any, parts: Sequence[Any], copy: bool) -> None:
        if stream.socket is None or stream.socket.closed:
            return
        self._send_frames(stream.socket, parts, copy=copy)
        if _option(stream.socket, _EVENTS) & _POLLIN:
            stream.io_loop.add_callback(stream._handle_events, stream.socket, 0)
