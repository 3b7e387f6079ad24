"""The end of what a worker wrote to its streams, in memory that outlives it (both sides).

Written by `shell.worker_streams` in the worker at each `write`; read by `worker` in the session
when it has died: what was on its way through queues and threads then is here still.

    for each stream: bytes written so far (8) | the last of them, in a ring
    bytes taken by the session (8): see `backlog`
    what its sampler sees: see `glimpses`

A reader that has seen `n` bytes of a stream takes what follows.
"""

import mmap
import os
import struct
from collections import deque
from typing import Final

from flow_kernel.workers import glimpses

RING_BYTES: Final = 1 << 16
TAIL_BYTES: Final = 4096
STREAMS: Final = ("stdout", "stderr")
_COUNT: Final = struct.Struct("<Q")
_EACH: Final = _COUNT.size + RING_BYTES
_TAKEN: Final = _EACH * len(STREAMS)
_GLIMPSES: Final = _TAKEN + _COUNT.size
_ALL: Final = _GLIMPSES + glimpses.NBYTES
_MOST: Final = (1 << 64) - 1
CAN_SHARE: Final = hasattr(os, "memfd_create")


def create() -> int:
    """Memory for one worker, as a descriptor.

    Raises:
        OSError: There is none to be had.
    """
    fd = os.memfd_create("flow-last-words", os.MFD_CLOEXEC)
    os.ftruncate(fd, _ALL)
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
        self._memory = mmap.mmap(fd, _ALL)
        self.glimpses: glimpses.Glimpses = glimpses.Glimpses(self._memory, _GLIMPSES)

    def close(self) -> None:
        """Let it go."""
        self._memory.close()

    def count(self, stream: int) -> int:
        """Bytes that were ever written."""
        found: int = _COUNT.unpack_from(self._memory, stream * _EACH)[0]
        return found

    @property
    def taken(self) -> int:
        """How much the session has taken of what was said."""
        found: int = _COUNT.unpack_from(self._memory, _TAKEN)[0]
        return found

    def take(self, nbytes: int) -> None:
        """The session has taken so much."""
        _COUNT.pack_into(self._memory, _TAKEN, min(nbytes, _MOST))

    def write(self, stream: int, data: bytes) -> None:
        """Add to a stream; about 1 µs."""
        memory, base = self._memory, stream * _EACH
        count = _COUNT.unpack_from(memory, base)[0] + len(data)
        if len(data) > RING_BYTES:
            data = data[-RING_BYTES:]
        ring = base + _COUNT.size
        at = (count - len(data)) % RING_BYTES
        room = RING_BYTES - at
        if len(data) <= room:
            memory[ring + at : ring + at + len(data)] = data
        else:
            memory[ring + at : ring + RING_BYTES] = data[:room]
            memory[ring : ring + len(data) - room] = data[room:]
        _COUNT.pack_into(memory, base, count)  # last: who dies before has not written it

    def since(self, stream: int, seen: int) -> bytes:
        """What follows the first `seen` bytes, as far as the ring still has it."""
        count = self.count(stream)
        length = min(count - seen, RING_BYTES)
        if length <= 0:
            return b""
        ring = stream * _EACH + _COUNT.size
        at = (count - length) % RING_BYTES
        turned = self._memory[ring + at : ring + RING_BYTES] + self._memory[ring : ring + at]
        return turned[:length]
