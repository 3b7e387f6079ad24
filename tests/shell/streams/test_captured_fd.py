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


class Late:
    """A stream whose thread gets no processor for longer than what comes later is waited for."""

    closed = False
    _should_watch = True
    _fd_busy = False
    _fd_rounds = 0

    def __init__(self, fid: int, *, echoes: bool = False) -> None:
        self._fid = fid
        self._fd_echoes = echoes
        self._buffers: list[bytes] = []
        self.sent: list[bytes] = []
        self.goes_on = threading.Event()
        self.watch_fd_thread = threading.Thread(target=self._read)
        self.watch_fd_thread.start()
        self.timer = threading.Timer(0.1, self.goes_on.set)

    def _read(self) -> None:
        self.goes_on.wait()
        self._fd_busy = True
        data = os.read(self._fid, 100)
        self._buffers.append(data)
        self._fd_rounds += 1
        self._fd_busy = False

    def flush(self) -> None:
        self.sent += self._buffers
        self._buffers = []


@promise("record.output")
@pytest.mark.parametrize(("echoes", "sent"), [(False, [b"last words"]), (True, [])])
def test_bytes_whose_reader_gets_no_processor_are_waited_for_unless_it_waits_itself(
    echoes: bool, sent: list[bytes]
) -> None:
    read, write = os.pipe()
    os.write(write, b"last words")
    stream = Late(read, echoes=echoes)
    stream.timer.start()
    try:
        drain((stream,), 0.005)
    finally:
        found = [*stream.sent]
        stream.timer.cancel()
        stream.goes_on.set()
        stream.watch_fd_thread.join()
        stream.timer.join()
        os.close(read)
        os.close(write)
    assert found == sent
