"""A line on which a job goes straight to the main thread of its worker (both sides).

Made by `starter`; written by `speech`, read by `shell.worker.line`. What the worker says comes back
on it: see `line_words`.

On the shell channel a job wakes five threads: the relay's, one of ZeroMQ in each process, the one
that reads the channel in the worker, and the one that runs it. A packet of a `SOCK_SEQPACKET` pair
wakes the last of them alone. What does not fit into one goes on the channel.

    packet   messages said on the channel before (8) | frames (4) | length of each (4) | the frames

A job stands behind what was said on the channel before it, although it may be there sooner: the
worker counts what it has read there. What is said on the channel later stands behind the job: the
worker looks here before it passes on a message.
"""

import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

CAN_BE: Final = hasattr(socket, "SOCK_SEQPACKET") and hasattr(os, "memfd_create")
MOST_BYTES: Final = 1 << 16
_HEAD: Final = struct.Struct("<QI")
AT_ONCE: Final = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
"""How one writes to it: not waiting for room, and not killed where nobody reads."""


class Packet(NamedTuple):
    """A job as it arrives, or what a worker says.

    Attributes:
        before: So many messages of the channel come before it.
        frames: Of its message.
    """

    before: int
    frames: Sequence[bytes]


class Line:
    """The session's end.

    Args:
        sock: Of the pair.
        identity: Of the worker's client on the shell channel, which replies are sent to.
    """

    def __init__(self, sock: socket.socket, identity: bytes) -> None:
        self._sock = sock
        self._identity = identity
        self._pid = os.getpid()

    def send(self, frames: Sequence[Any], *, before: int) -> bool:
        """Send a job; False where it has to go another way.

        Args:
            frames: Of its message.
            before: So many messages were sent on the shell channel by now.
        """
        parts = [self._identity, *frames]
        lengths = [memoryview(part).nbytes for part in parts]
        head = head_of(before, lengths)
        if len(head) + sum(lengths) > MOST_BYTES or os.getpid() != self._pid:
            return False
        try:
            self._sock.sendmsg([head, *parts], [], AT_ONCE)
        except OSError:  # it is full, or a cell has closed the other end
            return False
        return True

    def fileno(self) -> int:
        """Of our end."""
        return self._sock.fileno()

    def receive(self) -> Packet:
        """What the worker has said next.

        Raises:
            BlockingIOError: Nothing.
            EOFError: It will say nothing any more.
        """
        return receive(self._sock)

    def close(self) -> None:
        """There will be no job any more."""
        self._sock.close()


def line_pair(identity: bytes) -> tuple[Line, int]:
    """A line, and the descriptor of the worker's end.

    Raises:
        OSError: There is none to be had.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Line(ours, identity), theirs.detach()


def head_of(before: int, lengths: Sequence[int]) -> bytes:
    """What comes before the frames of a packet."""
    return _HEAD.pack(before, len(lengths)) + struct.pack(f"<{len(lengths)}I", *lengths)


def receive(sock: socket.socket) -> Packet:
    """The next packet.

    Raises:
        BlockingIOError: There is none.
        EOFError: There will be none any more.
    """
    data = sock.recv(MOST_BYTES, socket.MSG_DONTWAIT)
    if not data:
        raise EOFError
    before, count = _HEAD.unpack_from(data)
    lengths = struct.unpack_from(f"<{count}I", data, _HEAD.size)
    at = _HEAD.size + 4 * count
    frames = []
    for length in lengths:
        frames.append(data[at : at + length])
        at += length
    return Packet(before, frames)
