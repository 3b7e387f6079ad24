"""What forked children say, on its way to their parent: at once, whole and in order.

Made by `shell.channels.iopub` at the first fork of a kernel; read there before anything else is
sent.

In stock ipykernel each message of a child is a ZeroMQ context and a TCP connection of its own,
which takes milliseconds, and two of them may overtake one another. Here a message is in the
parent's reach when the call that sends it returns. So what a child said before its parent had
waited for it stands before what the parent says then, also when it ends by `os._exit`.

Packets of a local socket (`SOCK_SEQPACKET`, Linux) keep the messages of several children apart. A
message that is larger than a packet is sent in several, which its reader joins by their sender. On
other systems children speak as in stock ipykernel. So does a child that has closed its end, as
daemons do, and one whose parent has not read for a while: what holds the interpreter lock of the
parent for so long does not hold up the threads of ZeroMQ.
"""

import errno
import itertools
import marshal
import os
import socket
import struct
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, Self

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

if sys.platform != "win32":
    import fcntl
    import termios

PACKET_BYTES: Final = 32_000
"""Of a message in one packet: with the system's own words it stays in eight pages of memory."""
ROOM_BYTES: Final = 1 << 20
"""What the system is asked to keep until it is read; it may keep less, and twice as much."""
PATIENCE_S: Final = 3.0
"""Longest wait of a child for a parent that does not read."""
_UNFINISHED: Final = 16
"""Messages in pieces that are waited for; of a child that was killed in between the rest is not."""
_HEAD: Final = struct.Struct("!QQ?")
"""Who sends (process and message) and whether more of it follows."""
_getpid: Final = os.getpid
# The function of C: a cell may have put a class of its own in the place of Python's sockets.
_pair: Final[Any] = getattr(import_module("_socket"), "socketpair", None)
_fstat: Final = os.fstat
_GONE: Final = frozenset((errno.EPIPE, errno.ECONNRESET, errno.ECONNREFUSED))
_QUIET: Final = getattr(socket, "MSG_NOSIGNAL", 0)


class ChildrenPipe:
    """Two ends of a socket: children have the one, their parent the other."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self._reader = reader
        self._writer = writer
        self._place = _identity(writer.fileno())
        self._numbers = itertools.count()
        self._pieces: dict[tuple[int, int], list[bytes]] = {}
        # Either has its own: a cell may have set another default, which a look would wait for.
        self._reader.settimeout(0.0)
        self._writer.settimeout(PATIENCE_S)

    @classmethod
    def made(cls) -> Self | None:
        """A new one; None where the system has no such sockets, or no descriptors left."""
        try:
            reader, writer = _pair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except (AttributeError, TypeError, OSError):
            return None
        writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM_BYTES)
        return cls(reader, writer)

    def fileno(self) -> int:
        """Readable when a child has said something."""
        descriptor: int = self._reader.fileno()
        return descriptor

    def say(self, frames: Sequence[Any]) -> bool:
        """In a child: hand a message to the parent.

        One whose parent has gone is for nobody.

        Args:
            frames: Of the message, each of them bytes or a buffer.

        Returns:
            False where it cannot be handed over here, now and later.
        """
        if _identity(self._writer.fileno()) != self._place:
            self._writer.detach()  # closed, and its number may be that of a file of the user's
            return False
        rest = memoryview(marshal.dumps([bytes(frame) for frame in frames]))
        pid, number = _getpid(), next(self._numbers)
        try:
            while True:
                piece, rest = rest[:PACKET_BYTES], rest[PACKET_BYTES:]
                head = _HEAD.pack(pid, number, bool(rest))
                self._writer.sendmsg((head, piece), (), _QUIET)
                if not rest:
                    return True
        except OSError as error:
            return error.errno in _GONE

    def heard(self) -> list[list[bytes]]:
        """In the parent: the messages that are there by now, in the order they were said.

        What comes meanwhile is left for the next look: children that do not stop would hold up for
        as long whatever their parent has to say.
        """
        found: list[list[bytes]] = []
        left = self._waiting_bytes()
        while left > 0:
            try:
                packet = self._reader.recv(PACKET_BYTES + _HEAD.size)
            except OSError:  # a signal handler has read it
                break
            left -= len(packet)
            pid, number, has_more = _HEAD.unpack_from(packet)
            pieces = self._pieces.pop((pid, number), [])
            pieces.append(packet[_HEAD.size :])
            if has_more:
                self._pieces[pid, number] = pieces
                if len(self._pieces) > _UNFINISHED:
                    del self._pieces[next(iter(self._pieces))]
            else:
                found.append(marshal.loads(b"".join(pieces)))  # noqa: S302 - of a child of ours
        return found

    def _waiting_bytes(self) -> int:
        if sys.platform == "win32":
            return 0
        try:
            found = fcntl.ioctl(self._reader.fileno(), termios.FIONREAD, bytes(4))
        except (OSError, ValueError):  # it is closed
            return 0
        return int.from_bytes(found, sys.byteorder)

    def forget_reader(self) -> None:
        """In a child: only the parent reads. With an end of ours we would wait for ourselves."""
        self._reader.close()

    def close(self) -> None:
        """Nobody speaks any more, or listens."""
        self._reader.close()
        self._writer.close()


def _identity(descriptor: int) -> tuple[int, int] | None:
    """What an open descriptor leads to."""
    try:
        found = _fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino
