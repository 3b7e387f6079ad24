"""What was handed to the IOPub socket and has not left yet.

Kept by `shell.channels.iopub`; asked by `shell.streams.outstream` when a cell prints faster than
its clients read.

Without it 100 MB that are printed within a second stand in the memory of the kernel, which never
gives all of it back. A cell waits a little for its clients, a tenth of a second for each 256
thousand characters at most: one that does not read at all slows a cell down and does not stop it.
"""

import threading
import time
from collections import deque
from typing import Any, Final

import zmq

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

MOST_BYTES: Final = 4 << 20
PATIENCE_S: Final = 0.1
_LARGE_BYTES: Final = 1 << 16
_NAP_S: Final = 0.0005
_monotonic: Final = time.monotonic
_sleep: Final = time.sleep


class InFlight:
    """Large frames of one socket; whoever sends holds the lock of the socket."""

    def __init__(self) -> None:
        self._frames: deque[tuple[int, Any]] = deque()
        self._nbytes = 0
        self._looking = threading.Lock()

    def watched(self, part: Any) -> Any:
        """A part of a message as it is to be sent: of a large one it is seen when it has left."""
        if type(part) is not bytes or len(part) < _LARGE_BYTES:
            return part
        frame = zmq.Frame(part, track=True, copy=False)
        self._frames.append((len(part), frame.tracker))
        self._nbytes += len(part)
        self._look()
        return frame

    def wait(self) -> None:
        """Have most of it leave first, for a while; no lock is held."""
        if self._nbytes <= MOST_BYTES:
            return
        until_s = _monotonic() + PATIENCE_S
        while self._nbytes > MOST_BYTES and _monotonic() < until_s:
            _sleep(_NAP_S)
            self._look()

    def _look(self) -> None:
        if not self._looking.acquire(False):
            return  # another thread is at it
        try:
            frames = self._frames
            while frames and frames[0][1].done:
                self._nbytes -= frames.popleft()[0]
        finally:
            self._looking.release()
