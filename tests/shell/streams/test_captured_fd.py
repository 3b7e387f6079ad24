"""What waits for the last words of a captured descriptor."""

import os
import sys
import threading

import pytest

from flow_kernel.shell.streams.captured_fd import drain
from tests.promises import promise

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no poll on Windows")


class Racing:
    """A stream whose thread takes what is in the pipe right after it was asked if it is busy."""

    closed = False
    _should_watch = True

    def __init__(self, fid: int) -> None:
        self._fid = fid
        self._buffers: list[bytes] = []
        self._taken = b""
        self._lock = threading.Lock()
        self.sent: list[bytes] = []
        threading.Timer(0.05, self._take).start()

    @property
    def _fd_busy(self) -> bool:
        was_busy = bool(self._taken)
        self._take()
        return was_busy

    def _take(self) -> None:
        with self._lock:
            if not self._taken and not self._buffers and not self.sent:
                self._taken = os.read(self._fid, 100)
                threading.Timer(0.05, self._write).start()

    def _write(self) -> None:
        self._buffers.append(self._taken)
        self._taken = b""

    def flush(self) -> None:
        self.sent += self._buffers
        self._buffers = []


@promise("record.output")
def test_bytes_that_are_taken_while_we_look_are_waited_for() -> None:
    read, write = os.pipe()
    os.write(write, b"last words")
    stream = Racing(read)
    try:
        drain((stream,), 5.0)
    finally:
        os.close(read)
        os.close(write)
    assert stream.sent == [b"last words"]
