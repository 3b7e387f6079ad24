"""The way of a request from the thread that reads the shell channel to the one that runs it.

Used by the applications of `shell.kernel` and `shell.worker.app` in place of ipykernel's.

ipykernel sends each request, and each reply on its way back, through a pair of ZeroMQ sockets. To
be woken by such a socket, to ask it what has happened and to read it takes a fifth of a
millisecond each time. The loop of the other side can be told directly: `call_soon_threadsafe` keeps
the order, and wakes it by one byte. Replies go back by `shell.channels.reply_way`.

The event loops of GUI toolkits wait for the socket itself: when the first of them asks for it, it
is made, and everything goes through it from then on.

Proven for ipykernel 7.0 to 7.4; `is_usable` looks whether its classes still have the shape that we
rely on, and the stock ones stay where they have not.
"""

import asyncio
import inspect
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import zmq
from ipykernel import kernelapp, shellchannel, subshell, subshell_manager
from ipykernel.shellchannel import ShellChannelThread
from ipykernel.socket_pair import SocketPair
from ipykernel.subshell_manager import SubshellManager

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.noted_signals import NotedSignals
from flow_kernel.shell.channels.iopub import check_message, send_frames, swapped
from flow_kernel.shell.channels.reply_way import ReplyWay, SharedStream, share

globals()["__builtins__"] = FROZEN_BUILTINS

_CONTROL: Final = "control"
"""The one that is used like a socket, both ways."""
_REPLIES: Final = "-reverse"
_NOT_HANDLED: Final = "a request was not handled to its end"
_log: Final = logging.getLogger(__name__)


class LoopPair:
    """Stands for ipykernel's pair of sockets between two threads, and for both of its ends.

    Args:
        context: Of ZeroMQ, for the sockets that a GUI asks for.
        name: Of the pair.
    """

    def __init__(self, context: Any, name: str) -> None:
        self._context = context
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[Sequence[Any]] = deque()
        self._loop: Any = None
        self._callback: Callable[[Any], Any] | None = None
        self._copies = False
        self._sockets: Any = None
        self._is_closed = False

    @property
    def from_socket(self) -> "LoopPair":
        """The end that is written to."""
        return self

    @property
    def to_stream(self) -> Any:
        """The stream that a GUI watches, made when it is asked for; of the thread that reads."""
        with self._lock:
            if self._sockets is None and self._loop is not None:
                self._sockets = made = _unbounded(self._context, self._name)
                made.on_recv(self._loop, self._callback, copy=self._copies)
                while self._waiting:
                    made.from_socket.send_multipart(self._waiting.popleft(), copy=False)
        return None if self._sockets is None else self._sockets.to_stream

    def on_recv(
        self, io_loop: Any, on_recv_callback: Callable[[Any], Any], copy: bool = False
    ) -> None:
        """Call back in `io_loop` for each message, with frames, or with bytes where it copies."""
        with self._lock:
            self._loop, self._callback, self._copies = io_loop, on_recv_callback, copy
            if self._sockets is not None:
                self._sockets.on_recv(io_loop, on_recv_callback, copy=copy)
            elif self._waiting:
                self._tell()

    def send(self, part: Any, *args: Any, **kwargs: Any) -> None:
        """Send a message of one part, which is looked at as a frame."""
        self.send_multipart([zmq.Frame(part)], *args, **kwargs)

    def send_multipart(self, parts: Sequence[Any], *_: Any, **__: Any) -> None:
        """Send a message; it waits for who reads, and is dropped once nobody does any more."""
        message = [_uncopied(part) for part in parts]
        held = NotedSignals()
        try:
            with held, self._lock:  # told by halves, the other side would not wake
                if self._sockets is not None:
                    self._sockets.from_socket.send_multipart(message, copy=False)
                elif not self._is_closed:
                    self._waiting.append(message)
                    if self._loop is not None:
                        self._tell()
        finally:
            held.pass_on()

    def close(self) -> None:
        """Nobody reads any more."""
        with self._lock:
            self._is_closed = True
            self._loop = self._callback = None
            self._waiting.clear()
            if self._sockets is not None:
                self._sockets.close()

    def _tell(self) -> None:
        try:
            self._loop.asyncio_loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # its loop is closed
            self._waiting.clear()

    def _deliver(self) -> None:
        # All that waits: if one was not told of, those behind it must not each come one too late.
        while (delivery := self._next()) is not None:
            callback, message = delivery
            try:
                found = callback(message)
            except Exception:  # noqa: BLE001 - logged as ZMQStream does; the next one comes
                _log.exception(_NOT_HANDLED)
                continue
            if hasattr(type(found), "__await__"):
                asyncio.ensure_future(found).add_done_callback(_log_error)

    def _next(self) -> tuple[Callable[[Any], Any], Any] | None:
        with self._lock:
            if not self._waiting or self._callback is None:
                return None
            message = self._waiting.popleft()
            return self._callback, [bytes(part) for part in message] if self._copies else message


class FlowSubshellManager(SubshellManager):  # type: ignore[misc]  # ipykernel has no types
    """ipykernel's, with pairs of ours."""

    def __init__(self, context: Any, shell_channel_io_loop: Any, shell_stream: Any) -> None:
        self._pair: Callable[[Any, str], Any] = partial(pair, share(shell_stream))
        with swapped(subshell_manager, "SocketPair", self._pair):
            super().__init__(context, shell_channel_io_loop, shell_stream)

    def _create_subshell(self) -> str:
        with swapped(subshell, "SocketPair", self._pair):
            made: str = super()._create_subshell()
        return made


class FlowShellChannelThread(ShellChannelThread):  # type: ignore[misc]  # ipykernel has no types
    """ipykernel's, with a manager of ours."""

    @property
    def manager(self) -> Any:
        """Of the subshells, and of the main one."""
        if self._manager is not None:
            return self._manager
        with swapped(shellchannel, "SubshellManager", FlowSubshellManager):
            return super().manager


def _unbounded(context: Any, name: str) -> Any:
    """Ipykernel's pair for what waits already: who fills it is the one who reads it."""
    before = dict(context.sockopts)
    context.setsockopt(zmq.SNDHWM, 0)
    context.setsockopt(zmq.RCVHWM, 0)
    try:
        return SocketPair(context, name)
    finally:
        context.sockopts.clear()
        context.sockopts.update(before)


def pair(stream: Any, context: Any, name: str) -> Any:
    """What connects two threads.

    Args:
        stream: Of the shell channel.
        context: Of ZeroMQ.
        name: Tells what for.
    """
    if name == _CONTROL:
        return SocketPair(context, name)
    if name.endswith(_REPLIES) and isinstance(stream, SharedStream):
        return ReplyWay(stream, send_frames, check=check_message)
    return LoopPair(context, name)


def is_usable() -> bool:
    """True where ipykernel's classes are those that ours were written for."""
    methods = ("from_socket", "to_socket", "close", "on_recv")
    shape = {*methods[2:], *getattr(SocketPair, "__annotations__", ())}
    return (
        shape >= set(methods)
        and list(inspect.signature(SocketPair.__init__).parameters) == ["self", "context", "name"]
        and hasattr(SubshellManager, "_create_subshell")
        and isinstance(getattr(ShellChannelThread, "manager", None), property)
        and all(
            getattr(module, "SocketPair", None) is SocketPair
            for module in (subshell, subshell_manager)
        )
        and getattr(shellchannel, "SubshellManager", None) is SubshellManager
        and getattr(kernelapp, "ShellChannelThread", None) is ShellChannelThread
    )


@contextmanager
def in_place() -> Iterator[None]:
    """What ipykernel makes in the block is ours."""
    if not is_usable():
        yield
        return
    with swapped(kernelapp, "ShellChannelThread", FlowShellChannelThread):
        yield


def _uncopied(part: Any) -> Any:
    """A part that nobody copies any more, where that is worth the thread that then counts it."""
    is_small = type(part) is bytes and len(part) < zmq.COPY_THRESHOLD
    return part if is_small or type(part) is zmq.Frame else zmq.Frame(part, copy=False)


def _log_error(done: "asyncio.Future[Any]") -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        _log.error(_NOT_HANDLED, exc_info=error)
