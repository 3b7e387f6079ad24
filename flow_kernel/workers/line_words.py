"""What a worker says on the line that its jobs come on, in one order with its channel (both sides).

Used by `shell.worker.line` in the worker and by `worker` in the session.

A message of the IOPub channel wakes a thread of ZeroMQ in each process, which takes a tenth of a
millisecond each. A packet on the line wakes the one that reads it, and is not lost where the worker
is killed. What is large, or finds the line full, goes on the channel, with its number in a frame
behind the topic; a packet tells the number of the last one before it. The line is there at once, so
what was said on it before a message of the channel is read before that message is passed on.

Of content in the `deposit` the line carries the reference: a megabyte is not lost either.
"""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from flow_kernel.workers.line import AT_ONCE, Line, head_of

MOST_BYTES: Final = 1 << 13
"""What is larger costs less on the channel, where nobody copies it."""
_NUMBER: Final = b"flow_number:"
_DELIMITER: Final = b"<IDS|MSG>"
_BYTES: Final = {bytes}
_IN_A_ROW: Final = 64
_LOG: Final = logging.getLogger(__name__)


class Speaker:
    """The worker's side; whoever calls holds the lock of the channel.

    Args:
        sock: The line.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._inode = os.fstat(self._fd).st_ino
        self.number: int = 0
        """Messages that were said on the channel."""
        self.is_heard: bool = False
        """True once the session has said something here: then it hears all that is said."""

    def pass_on(self, message: Sequence[Any]) -> Sequence[Any] | None:
        """Say a message on the line; calls no function of Python, for a cell may be deep in some.

        Returns:
            What is to be said on the channel; None for nothing.
        """
        if not self.is_heard:
            return message
        if {*map(type, message)} == _BYTES and sum(lengths := [*map(len, message)]) <= MOST_BYTES:
            try:
                # A cell may have closed it, and have got the number for a file of its own.
                if os.fstat(self._fd).st_ino == self._inode:
                    head = head_of(self.number, lengths)
                    self._sock.sendmsg([head, *message], [], AT_ONCE)
                    return None
            except OSError:  # it is full, or closed
                pass
        self.number += 1
        at = 0 if message[0] == _DELIMITER else 1
        return [*message[:at], b"%b%d" % (_NUMBER, self.number), *message[at:]]

    def is_there(self) -> bool:
        """False where a cell has got the number of the line for a file of its own.

        Raises:
            OSError: A cell has closed it.
        """
        return os.fstat(self._fd).st_ino == self._inode

    def take_back(self, number: int) -> None:
        """What was to be said on the channel was not: nobody is to wait for it.

        Args:
            number: As it was before.
        """
        self.number = number


class _Said(NamedTuple):
    """What has arrived.

    Attributes:
        before: So many messages of the channel come before it.
        after: So many have come with it.
        frames: Of the message.
    """

    before: int
    after: int
    frames: Sequence[bytes]


class Hearer:
    """The session's side; in the relay's thread.

    Args:
        line: To the worker; None where there is none.
        take: Told each message, in the order in which they were said. It may have more of them
            arrive meanwhile.
    """

    def __init__(self, line: Line | None, take: Callable[[Sequence[bytes]], None]) -> None:
        self._line = line
        self._take = take
        self._seen = 0
        """So many messages of the channel have come, or never will."""
        self._waiting: deque[_Said] = deque()
        """In the order in which they were said; those of the channel wait for nothing else."""
        self.is_over: bool = line is None
        """Nothing comes on the line any more."""

    def on_line(self) -> None:
        """Something has come on the line, or it is over."""
        for _ in range(_IN_A_ROW):  # then the others have their turn
            if not self._read_one():  # to be told by the poller takes longer
                return
            self._pass_on()

    def on_death(self) -> None:
        """Nothing more comes on either.

        What stands behind a message of the channel that was lost is left out: the text that it
        holds is told from memory, with what was lost before it.
        """
        while self._read_one():
            pass
        self._pass_on()

    def on_channel(self, frames: Sequence[bytes]) -> None:
        """A message of the IOPub channel."""
        number, frames = _numbered(frames)
        while not self._has_read(number) and self._read_one():
            pass
        before = self._seen if number is None else number - 1
        self._seen = max(self._seen, before)
        waiting = self._waiting
        # A place of its own: whoever is told what stands before it may have the next one arrive.
        at = next((at for at, each in enumerate(waiting) if each.before > before), len(waiting))
        waiting.insert(at, _Said(before, before if number is None else number, frames))
        self._pass_on()

    # -- inside ------------------------------------------------------------------------------------

    def _has_read(self, number: int | None) -> bool:
        """All that was said before that message of the channel has come."""
        return number is not None and bool(self._waiting) and self._waiting[-1].before >= number

    def _read_one(self) -> bool:
        """Take what comes next on the line; False where there is nothing by now."""
        if self._line is None or self.is_over:
            return False
        try:
            try:
                before, frames = self._line.receive()
            except ConnectionResetError:  # told once, before what is there, if a job was not read
                before, frames = self._line.receive()
        except BlockingIOError:
            return False
        except (EOFError, OSError):
            self.is_over = True
            return False
        self._waiting.append(_Said(before, before, frames))
        return True

    def _pass_on(self) -> None:
        waiting = self._waiting
        while waiting and waiting[0].before <= self._seen:
            _, after, frames = waiting.popleft()
            self._seen = max(self._seen, after)
            try:
                self._take(frames)
            except Exception:  # noqa: BLE001 - as in the relay: one message costs itself only
                _LOG.exception("flow: a message of a worker was dropped")


def _numbered(frames: Sequence[bytes]) -> tuple[int | None, Sequence[bytes]]:
    """The number of a message of the channel, None where it has none, and its other frames."""
    for at, frame in enumerate(frames[:2]):
        if frame == _DELIMITER:
            break
        if frame.startswith(_NUMBER):
            return int(frame[len(_NUMBER) :]), [*frames[:at], *frames[at + 1 :]]
    return None, frames
