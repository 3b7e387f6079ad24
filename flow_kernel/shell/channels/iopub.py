"""The IOPub channel without a hop: whoever has a message sends it, one after the other.

Used by the applications of `shell.kernel` and `shell.worker.app` in place of ipykernel's.

ipykernel hands each message to a thread of its own, which has to be woken for it: a cell of `1+1`
has four of them, and at each the two threads take the interpreter from one another. Here a message
is sent in the thread that has it, under a lock. ZeroMQ allows that, because a lock is a full memory
barrier. What is sent later stands behind what was sent before, in whichever thread.

The thread is still there, for timers, for new clients, and for what forked children say while
nobody else sends (see `children_pipe`).

Proven for ipykernel 7.0 to 7.4; `is_usable` looks whether its class still has the shape that we
override, and the stock class stays where it has not.
"""

import inspect
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import zmq
from ipykernel import kernelapp
from ipykernel.iostream import IOPubThread
from zmq.backend import Socket

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.noted_signals import NotedSignals
from flow_kernel.shell.channels.children_pipe import ChildrenPipe
from flow_kernel.shell.channels.in_flight import InFlight

if TYPE_CHECKING:
    from flow_kernel.workers.deposit import Deposit
    from flow_kernel.workers.line_words import Speaker

globals()["__builtins__"] = FROZEN_BUILTINS

_getpid: Final = os.getpid
_NAME: Final = "IOPubThread"
# The functions of C: pyzmq's own wrappers make an enum of each number, seven times a message.
_send: Final = Socket.send
_option: Final[Callable[[Any, int], Any]] = Socket.get
_MORE: Final = int(zmq.SNDMORE)
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_COPY: Final = frozenset(("copy",))
_LEVELS: Final = 10
"""Functions that call one another until a message is sent, and some more."""
_LEVELS_OF_A_CHILD: Final = 40
"""The same for a message of a child, which is looked into."""

_NOT_SENT: Final = "flow: a message was not sent"
_LOG: Final = logging.getLogger(__name__)

_Message = tuple[Any, tuple[Any, ...], dict[str, Any]]


class FlowIOPubThread(IOPubThread):  # type: ignore[misc]  # ipykernel has no types
    """ipykernel's thread of the IOPub channel; messages do not pass through it."""

    patience_s: float = 10.0
    """Longest wait for who sends, as in ipykernel's `flush`: it may wait for us, in a finalizer."""
    _children: ChildrenPipe | None = None

    def __init__(self, socket: Any, pipe: bool = False, session: Any = False) -> None:
        self.order: Any = threading.RLock()
        """Held while something is sent: what has to stand together is sent under it."""
        self.in_flight: InFlight = InFlight()
        """What clients have not taken yet."""
        self.deposit: Deposit | None = None
        """Where large content is left, under `order`: a reference is sent in its place."""
        self.speaker: Speaker | None = None
        """Given each message, under `order`: what it has not said is sent."""
        self.last_calls: list[Callable[[], None]] = []
        """Called before the socket is closed: they send what waits."""
        self.on_child: Callable[[list[bytes]], None] = self._handle_pipe_msg
        """Told each message of a forked child, behind the word that proves it; it sends it."""
        self._heard: deque[list[bytes]] = deque()
        self._is_hearing = False
        self._is_sending = False
        self._behind: deque[_Message] = deque()
        super().__init__(socket, pipe, session)
        _mind_forks(self)

    @property
    def is_sending_here(self) -> bool:
        """This thread is in the midst of a message: something it calls wants to send as well."""
        return self._is_sending and self.order._is_owned()

    def schedule(self, f: Callable[[], None]) -> None:
        """Call `f` in the thread; at once where it does not run."""
        if self.thread.is_alive():
            with suppress(RuntimeError):  # its loop has just been closed
                self.io_loop.asyncio_loop.call_soon_threadsafe(f)
                return
        f()

    def send_multipart(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Send a message now; a forked child pipes it to its parent.

        Few functions in a row, because a cell may have left little of the stack.
        """
        if _getpid() != self._master_pid:
            self._say_to_parent(msg, args, kwargs)
            return
        check_message(msg)  # here: another thread may be the one that sends it
        if self._children is not None:
            self.hear_children()
        # What a handler raises between two frames of a message would spoil the next one as well.
        held = NotedSignals()
        message = (msg, args, kwargs)
        try:
            with held:
                self._behind.append(message)
                self._send_behind(message)
        finally:
            held.pass_on()

    def _really_send(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.send_multipart(msg, *args, **kwargs)

    def _send_behind(self, mine: _Message | None = None) -> None:
        """Send all that waits for its turn; what is wrong with `mine` is raised."""
        if not self.order.acquire(True, self.patience_s):
            self.schedule(self._send_behind)
            return
        try:
            if self._is_sending:  # a finalizer or a trace function, in the midst of another one
                return
            self._send_all(mine)
        finally:
            self.order.release()

    def _send_all(self, mine: _Message | None) -> None:
        wrong: Exception | None = None
        self._is_sending = True
        try:
            while self._behind:
                message = self._behind.popleft()
                try:
                    self._send_one(*message)
                except Exception as error:  # noqa: BLE001 - it is that of who sent the message
                    if message is mine:
                        wrong = error
                    else:  # with no lock of ours: a handler of the log may want to send
                        self.schedule(partial(_LOG.error, _NOT_SENT, exc_info=error))
        finally:
            self._is_sending = False
        if wrong is not None:
            raise wrong

    def _send_one(self, msg: Any, args: Any, kwargs: Any) -> None:
        deposit, speaker = self.deposit, self.speaker
        number = 0 if speaker is None else speaker.number
        left: bytes | None = None
        try:
            # Content first: the reference to it is small enough for the line, which outlives us.
            if deposit is not None and (left := deposit.left(msg)) is not None:
                msg = [*msg[:-1], left]
            if speaker is not None and (msg := speaker.pass_on(msg)) is None:
                return
            self._send_on_channel(msg, args, kwargs)
        except BaseException:  # else its reader waits for it, and its place is in use, for ever
            if speaker is not None:
                speaker.take_back(number)
            if deposit is not None and left is not None:
                deposit.give_back(left)
            raise

    def _send_on_channel(self, msg: Any, args: Any, kwargs: Any) -> None:
        socket = self.socket
        if type(socket) is not zmq.Socket or args or kwargs.keys() - _COPY:
            super()._really_send(msg, *args, **kwargs)
        elif not socket.closed:
            parts = [*msg[:-1], self.in_flight.watched(msg[-1])]
            send_frames(socket, parts, copy=kwargs.get("copy", True))
            if _option(socket, _EVENTS) & _POLLIN:
                # To send takes the sign of a new client from what the loop watches.
                self.schedule(self._on_clients)

    def close(self) -> None:
        """Close the socket, which a thread of the user's may be about to use."""
        self.hear_children()
        for call in self.last_calls:
            call()
        with self.order:
            super().close()
            if self._children is not None:
                self._children.close()

    # -- forked children ---------------------------------------------------------------------------

    def hear_children(self) -> None:
        """Send what forked children have said by now: before what is sent next."""
        children = self._children
        if children is None or _getpid() != self._master_pid:
            return
        held = NotedSignals()  # what is read and not yet sent must not be lost
        try:
            with held:
                self._hear(children)
        finally:
            held.pass_on()

    def _hear(self, children: ChildrenPipe) -> None:
        if not self.order.acquire(True, self.patience_s):
            return
        try:
            if self._is_hearing or self._is_sending:
                return
            self._is_hearing = True
            try:
                self._heard.extend(children.heard())
                while self._heard:
                    # A cell may have left too little of the stack; there is a message behind this.
                    _go_down(_LEVELS_OF_A_CHILD)
                    self.on_child([self._pipe_uuid, *self._heard.popleft()])
            except RecursionError:
                pass
            finally:
                self._is_hearing = False
        finally:
            self.order.release()

    def _say_to_parent(self, msg: Any, args: Any, kwargs: Any) -> None:
        if self._children is not None and self._pipe_flag:
            if self._children.say(msg):
                return
            self._children = None  # all further ones go the same way, or they overtake this one
        super()._really_send(msg, *args, **kwargs)

    def expect_child(self) -> None:
        """This process is about to fork."""
        if self._children is not None or not self._pipe_flag or self.closed:
            return
        if _getpid() != self._master_pid:
            return
        made = ChildrenPipe.made()
        if made is None:
            return
        # One step: two threads may fork at once, and the first pipe is that of both.
        if self.__dict__.setdefault("_children", made) is made:
            self.schedule(self._listen_to_children)
        else:
            made.close()

    def _listen_to_children(self) -> None:
        with suppress(RuntimeError, OSError, ValueError):  # the kernel ends
            self.io_loop.asyncio_loop.add_reader(self._children, self.hear_children)

    def forget(self) -> None:
        """This process is a fork: who had the lock is not in it."""
        self.order = threading.RLock()
        self._behind.clear()
        self._heard.clear()
        self._is_sending = self._is_hearing = False
        if self._children is not None and self._pipe_flag:
            self._children.forget_reader()

    # -- new clients -------------------------------------------------------------------------------

    def _setup_xpub_listener(self) -> None:
        socket = self.socket
        if isinstance(socket, zmq.Socket) and socket.getsockopt(zmq.TYPE) == zmq.XPUB:
            # Not by a handler of tornado's, whose loop closes each socket that it knows when it
            # ends: somebody may be sending, and what is said at exit is still to be sent.
            self.io_loop.asyncio_loop.add_reader(socket.fileno(), self._on_clients)

    def _on_clients(self) -> None:
        while self._take_client():
            pass

    def _take_client(self) -> bool:
        with self.order:
            if self.socket is None or self.socket.closed:
                return False
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.ZMQError:  # there is none left, or the context ends
                return False
            self._is_sending = True
            try:
                self._handle_subscription(frames)
            finally:
                self._is_sending = False
                self._send_all(None)  # what a finalizer said meanwhile
        return True


def in_turn(publisher: Any, send: Callable[[], None]) -> None:
    """Call what sends a message behind all that was sent before: now, or in stock's thread.

    Nobody else sends meanwhile.
    """
    if not isinstance(publisher, FlowIOPubThread):
        publisher.schedule(send)
        return
    held = NotedSignals()  # what a handler raises as the lock is taken would keep it for ever
    try:
        with held:
            has_turn = publisher.order.acquire(True, publisher.patience_s)
            try:
                send()
            finally:
                if has_turn:
                    publisher.order.release()
    finally:
        held.pass_on()


def check_message(frames: Sequence[Any]) -> None:
    """Look at a message, and at the stack, before any of it is sent.

    Raises:
        TypeError: One of its frames is no bytes.
        RecursionError: A cell has left too little of the stack, also for the note of a signal that
            comes between two frames.
    """
    for frame in frames:
        if type(frame) is not bytes and not isinstance(frame, zmq.Frame):
            memoryview(frame)
    _go_down(_LEVELS)


def _go_down(levels: int) -> None:
    if levels:
        _go_down(levels - 1)


def send_frames(socket: Any, frames: Sequence[Any], *, copy: bool) -> None:
    """Send a message of several frames, which `check_message` has seen.

    Raises:
        zmq.ZMQError: It cannot be sent.
    """
    flags = (*repeat(_MORE, len(frames) - 1), 0)
    # One step for Python: no trace function, and nothing that is thrown into a thread, comes
    # between two frames.
    deque(map(_send, repeat(socket), frames, flags, repeat(copy), repeat(False)), 0)


def _mind_forks(publisher: FlowIOPubThread) -> None:
    if not hasattr(os, "register_at_fork"):
        return
    known = weakref.ref(publisher)

    def expect() -> None:
        if (found := known()) is not None:
            found.expect_child()

    def forget() -> None:
        if (found := known()) is not None:
            found.forget()

    os.register_at_fork(before=expect, after_in_child=forget)


def is_usable() -> bool:
    """True where ipykernel's class is the one that ours was written for."""
    methods = ("_really_send", "_setup_xpub_listener", "_handle_subscription", "_handle_pipe_msg")
    made_with = list(inspect.signature(IOPubThread.__init__).parameters)
    return (
        made_with == ["self", "socket", "pipe", "session"]
        and all(callable(getattr(IOPubThread, name, None)) for name in methods)
        and getattr(kernelapp, _NAME, None) is IOPubThread
    )


@contextmanager
def in_place() -> Iterator[None]:
    """What ipykernel makes in the block is ours."""
    if not is_usable():
        yield
        return
    with swapped(kernelapp, _NAME, FlowIOPubThread):
        yield


@contextmanager
def swapped(module: Any, name: str, value: object) -> Iterator[None]:
    """In the block a name of a module means something else."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
