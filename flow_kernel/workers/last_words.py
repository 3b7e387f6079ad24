"""The end of what a worker wrote to its streams, in memory that outlives it (both sides).

Written by `shell.worker.streams` in the worker at each `write`; read by `worker` in the session
when it has died: what was on its way through queues and threads then is here still.

    page 0:          segments begun, for each stream (8) | bytes taken by the session (8): see
                     `backlog` | what its sampler sees: see `glimpses`
    for each stream: two segments that are filled in turn
    the rest:        see `deposit`

A segment that is begun is filled with a byte that no text has; text is written over it from its
start. So a write is one call of C, and the reader sees where the text ends. A reader that has seen
`n` bytes of a stream takes what follows.
"""

import mmap
import os
import struct
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import Final

from flow_kernel.workers import deposit, glimpses

RING_BYTES: Final = 1 << 16
"""The last so many bytes of a stream are there, twice as many at most."""
TAIL_BYTES: Final = 4096
STREAMS: Final = ("stdout", "stderr")
_COUNT: Final = struct.Struct("<Q")
_TAKEN: Final = _COUNT.size * len(STREAMS)
_GLIMPSES: Final = _TAKEN + _COUNT.size
_PAGE: Final = mmap.ALLOCATIONGRANULARITY
_HEAD: Final = -(-(_GLIMPSES + glimpses.NBYTES) // _PAGE) * _PAGE
_ALL: Final = _HEAD + 2 * len(STREAMS) * RING_BYTES
_MOST: Final = (1 << 64) - 1
_NO_TEXT: Final = b"\xff"
_TRIES: Final = 3
CAN_SHARE: Final = hasattr(os, "memfd_create")

if sys.platform == "linux":
    import fcntl

    def _seal(fd: int) -> None:
        """Nobody makes it shorter: whoever reads what is gone is killed."""
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
else:

    def _seal(fd: int) -> None:
        """Elsewhere there are no seals."""


def create() -> int:
    """Memory for one worker, as a descriptor.

    Raises:
        OSError: There is none to be had.
    """
    fd = os.memfd_create("flow-last-words", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _ALL + deposit.NBYTES)
    with suppress(OSError):  # a system that has no seals
        _seal(fd)
    return fd


class Tail:
    """The end of what was said, in the memory of the session."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._nbytes = 0

    @property
    def text(self) -> str:
        """That end."""
        return b"".join(self._pieces)[-TAIL_BYTES:].decode("utf-8", "replace")

    def add(self, data: bytes) -> None:
        """More was said."""
        self._pieces.append(data[-TAIL_BYTES:])
        self._nbytes += len(self._pieces[-1])
        while self._nbytes - len(self._pieces[0]) >= TAIL_BYTES:
            self._nbytes -= len(self._pieces.popleft())


class LastWords:
    """That memory in one process.

    Args:
        fd: Of `create`; it may be closed afterwards.
    """

    def __init__(self, fd: int) -> None:
        self._memory = mmap.mmap(fd, _HEAD)
        self._segments = [
            [mmap.mmap(fd, RING_BYTES, offset=_place(stream, each)) for each in range(2)]
            for stream in range(len(STREAMS))
        ]
        self._turning = threading.RLock()
        self.open_segments: list[mmap.mmap] = [each[1] for each in self._segments]
        """What each stream is written to. Text that does not fit into it goes to `write`."""
        for segment in self.open_segments:
            segment.seek(RING_BYTES)  # the first text begins the first one
        self.glimpses: glimpses.Glimpses = glimpses.Glimpses(self._memory, _GLIMPSES)
        self.deposit: deposit.Deposit = deposit.Deposit(fd, _ALL)

    def close(self) -> None:
        """Let it go."""
        self._memory.close()
        self.deposit.close()
        for segments in self._segments:
            for segment in segments:
                segment.close()

    def count(self, stream: int) -> int:
        """Bytes that were ever written."""
        for _ in range(_TRIES):
            begun = self._begun(stream)
            length = self._length(stream, begun)
            if self._begun(stream) == begun:  # else it may have been written over meanwhile
                break
        return 0 if not begun else (begun - 1) * RING_BYTES + length

    @property
    def taken(self) -> int:
        """How much the session has taken of what was said."""
        found: int = _COUNT.unpack_from(self._memory, _TAKEN)[0]
        return found

    def take(self, nbytes: int) -> None:
        """The session has taken so much."""
        _COUNT.pack_into(self._memory, _TAKEN, min(nbytes, _MOST))

    def write(self, stream: int, data: bytes) -> None:
        """Add text in UTF-8 to a stream; about 0.2 µs. One process writes.

        Surrogates may be in it; nothing that UTF-8 does not have.
        """
        try:
            self.open_segments[stream].write(data)
        except ValueError:  # it does not fit
            self._turn(stream, data, 0)

    def write_end(self, stream: int, data: bytes, left_out: int) -> None:
        """Add text of which the end is given, twice RING_BYTES, and how long it is before that."""
        self._turn(stream, data, left_out)

    def _turn(self, stream: int, data: bytes, left_out: int) -> None:
        """Write over the end of a segment, into the next or many further."""
        with self._turning:
            self._fill(stream, data, left_out)

    def _fill(self, stream: int, data: bytes, left_out: int) -> None:
        segment, begun = self.open_segments[stream], self._begun(stream)
        room = RING_BYTES - segment.tell()
        if not left_out:  # else it is written over
            segment.write(data[:room])
        given, nbytes = memoryview(data), left_out + len(data) - room
        last = (nbytes - 1) // RING_BYTES
        for number in range(max(0, last - 1), last + 1):  # what would be written over is left out
            at = room + number * RING_BYTES - left_out
            self._begin(stream, begun + 1 + number)
            self.open_segments[stream].write(given[at : at + RING_BYTES])

    def _begin(self, stream: int, number: int) -> None:
        self.open_segments[stream] = segment = self._segments[stream][(number - 1) % 2]
        segment[:] = _NO_TEXT * RING_BYTES
        segment.seek(0)
        _COUNT.pack_into(self._memory, stream * _COUNT.size, number)

    def since(self, stream: int, seen: int) -> bytes:
        """What follows the first `seen` bytes, as far as it is there still."""
        begun = self._begun(stream)
        if not begun:
            return b""
        segments = self._segments[stream]
        text = segments[(begun - 1) % 2][: self._length(stream, begun)]
        if begun > 1:
            text = segments[begun % 2][:] + text
        length = self.count(stream) - seen
        return text[-length:] if length > 0 else b""

    def _begun(self, stream: int) -> int:
        found: int = _COUNT.unpack_from(self._memory, stream * _COUNT.size)[0]
        return found

    def _length(self, stream: int, begun: int) -> int:
        """Of the text in the segment that is written to."""
        found = self._segments[stream][(begun - 1) % 2].find(_NO_TEXT, 0)
        return RING_BYTES if found < 0 else found


def _place(stream: int, segment: int) -> int:
    return _HEAD + (2 * stream + segment) * RING_BYTES
