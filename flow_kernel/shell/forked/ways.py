"""How a copy of the session speaks and is answered: what stands for its streams and its sockets.

Built by `shell.forked_life` in the copy. All of it writes to one pipe, whole frames at a time, in
the order in which things were said; see `workers.fork_frames`.
"""

import json
import os
import select
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import zmq
from ipykernel.iostream import OutStream
from IPython.core.error import StdinNotImplementedError

from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.workers import fork_frames
from flow_kernel.workers.last_words import STREAMS

_getpid: Final = os.getpid
_exit: Final = os._exit  # whatever the cell puts in its place; as the next ones
_write: Final = os.write
_loads: Final = json.loads


class Mouth:
    """The one way out; any thread of the copy may use it.

    A process that the copy forks has it as well and must not: its frames would fall into ours.
    What it prints goes through the pipe of its descriptor.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.RLock()
        self._pid = _getpid()

    @property
    def is_ours(self) -> bool:
        """True in the copy itself."""
        return _getpid() == self._pid

    def say(self, kind: int, data: bytes) -> None:
        """Write a frame; waits while the session has too much to pass on.

        A handler of a signal that raises must not cut it. The system takes a small one whole or not
        at all; a large one is written by a thread, for which no handler is ever called.
        """
        if not self.is_ours:
            return
        frame = fork_frames.framed(kind, data)
        if len(frame) <= select.PIPE_BUF:
            self._write(frame)
        elif threading.current_thread() is threading.main_thread():
            writer = threading.Thread(target=self._write, args=(frame,), daemon=True)
            writer.start()
            writer.join()
        else:
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        with self._lock, suppress(BrokenPipeError):  # the session is gone, and so are we
            left = memoryview(frame)
            while left:
                left = left[_write(self._fd, left) :]

    def text(self, stream: int, text: str) -> None:
        """Text on a stream."""
        data = text.encode("utf-8", "backslashreplace")
        if self.is_ours:
            self.say((fork_frames.OUT, fork_frames.ERR)[stream], data)
        else:
            _write(stream + 1, data)


class ForkedOutStream(OutStream):  # type: ignore[misc]  # ipykernel has no types
    """ipykernel's stream without a thread and a buffer: what is written has left."""

    mouth: Mouth

    def write(self, string: str) -> int:
        """Write as ipykernel does."""
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if string:
            self.mouth.text(STREAMS.index(self.name), string)
        return len(string)

    def flush(self) -> None:
        """Nothing waits."""

    def _flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """It stays open as long as the copy."""

    def fileno(self) -> int:
        """The descriptor that programs are given."""
        return STREAMS.index(self.name) + 1


ForkedOutStream.__name__ = ForkedOutStream.__qualname__ = OutStream.__name__
ForkedOutStream.__module__ = OutStream.__module__


def replant(stream: Any, mouth: Mouth) -> None:
    """Make a stream of ipykernel speak through `mouth`; whoever holds it finds it changed."""
    if not isinstance(stream, OutStream) or getattr(stream, "name", None) not in STREAMS:
        return
    vars(stream).pop("write", None)  # what IPython and we have put before it
    stream.__class__ = ForkedOutStream
    stream.mouth = mouth
    stream.echo = None
    stream._buffer_lock = threading.RLock()
    stream._master_pid = _getpid()


class Publisher:
    """Stands for the socket of messages that clients see."""

    def __init__(self, mouth: Mouth) -> None:
        self._mouth = mouth

    def send_multipart(self, parts: Sequence[Any], *_: Any, **__: Any) -> None:
        """Send a message."""
        self._mouth.say(fork_frames.MESSAGE, fork_frames.joined([_bytes(part) for part in parts]))

    def send(self, part: Any, *_: Any, **__: Any) -> None:
        """Send a message of one part."""
        self.send_multipart([part])


class Asker:
    """Stands for the socket of input: questions leave, answers come as messages of Jupyter.

    Args:
        mouth: The way out.
        answers: The way in.
        session: Signs what the copy reads itself.
    """

    def __init__(self, mouth: Mouth, answers: socket.socket, session: Any) -> None:
        self._mouth = mouth
        self._answers = answers
        self._session = session

    def fileno(self) -> int:
        """What can be waited for."""
        return self._answers.fileno()

    def send_multipart(self, parts: Sequence[Any], *_: Any, **__: Any) -> None:
        """Ask for a line of input."""
        _, parts = self._session.feed_identities([_bytes(part) for part in parts])
        self._mouth.say(fork_frames.QUESTION, bytes(parts[4]))

    def poll(self, timeout_ms: float | None = None, *_: Any) -> int:
        """Not zero once an answer is there."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        return len(poll.poll(timeout_ms))

    def recv_multipart(self, flags: int = 0, *_: Any, **__: Any) -> list[bytes]:
        """An answer."""
        if not self._mouth.is_ours:  # ipykernel looks for answers first; none is for this process
            raise StdinNotImplementedError("a process that a cell has forked cannot ask for input")
        if flags & zmq.NOBLOCK and not self.poll(0):
            raise zmq.Again
        with NotedInterrupts() as held:  # half of an answer would be taken for the next one
            content = _loads(self._whole())
        held.pass_on()
        parts: list[bytes] = self._session.serialize(self._session.msg("input_reply", content))
        return parts

    def _whole(self) -> bytes:
        head = self._exactly(fork_frames.HEAD.size)
        _, length = fork_frames.HEAD.unpack(head)
        return self._exactly(length)

    def _exactly(self, nbytes: int) -> bytes:
        data = b""
        while len(data) < nbytes:
            piece = self._answers.recv(nbytes - len(data))
            if not piece:
                _exit(1)  # nobody waits for us any more
            data += piece
        return data

    def wait_until_left(self) -> None:
        """Wait until the session has taken what it was given, or is gone."""
        with suppress(OSError):
            while self._answers.recv(4096):
                pass


def _bytes(part: Any) -> bytes:
    return bytes(getattr(part, "bytes", part))
