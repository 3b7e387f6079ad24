"""Kills what copies of a session leave behind, when they end and when the session does.

Started by `WardenClient` as `python -m flow_kernel.workers.fork_warden OWNER_PID`, once for a
session whose cells run in copies of it. Told on its stdin:

    +TAG    a copy of that tag has begun
    -TAG    it has ended: what still carries the tag is killed

The system tells a copy that its session is gone, and nobody tells what the copy has started. So the
warden waits for the end of the session as well, and kills what carries any tag that it knows.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Final

from flow_kernel.workers import sweep
from flow_kernel.workers.here import search_path

_READ_BYTES: Final = 4096
_LOOK_MS: Final = 500


class WardenClient:
    """The warden of one session, begun when the first copy is; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Of the warden; None where there is none."""
        return None if self._process is None else self._process.pid

    def begin(self, tag: str) -> None:
        """A copy of that tag is about to begin."""
        with self._lock:
            if self._is_closed:
                return
            if self._process is None or self._process.poll() is not None:
                with suppress(OSError):  # then what is left is killed by this process
                    self._process = _start()
        self._say(f"+{tag}\n")

    def end(self, tag: str) -> None:
        """It has ended; what is left of it is about to."""
        if not self._say(f"-{tag}\n"):
            sweep.kill_all(tag)

    def close(self) -> None:
        """There will be no more."""
        with self._lock:
            self._is_closed = True
            process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError, ValueError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _say(self, line: str) -> bool:
        with self._lock:
            process = self._process
            if process is None or process.stdin is None or process.poll() is not None:
                return False
            try:
                os.write(process.stdin.fileno(), line.encode())
            except (OSError, ValueError):
                return False
            return True


def _start() -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-P", "-m", __name__, str(os.getpid())]
    return subprocess.Popen(  # noqa: S603 - our own module
        argv,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search_path())},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        bufsize=0,
    )


def _watch(owner: int) -> None:
    tags: set[str] = set()
    lines = _Lines()
    poll = select.poll()
    poll.register(0, select.POLLIN)
    with suppress(OSError):  # it is gone by now, or the system has none
        poll.register(os.pidfd_open(owner), select.POLLIN)
    while True:
        is_alone = os.getppid() != owner  # asked first: what it said before it ended is read below
        for line in lines.read():
            _mind(line, tags)
        if is_alone or lines.is_at_end:
            break
        poll.poll(_LOOK_MS)
    for tag in tags:
        sweep.kill_all(tag)


class _Lines:
    """What has arrived on stdin, line by line."""

    def __init__(self) -> None:
        os.set_blocking(0, False)
        self._data = b""
        self.is_at_end = False

    def read(self) -> list[str]:
        """The lines that are whole by now."""
        with suppress(BlockingIOError):
            while piece := os.read(0, _READ_BYTES):
                self._data += piece
            self.is_at_end = True
        *lines, self._data = self._data.split(b"\n")
        return [line.decode("ascii", "replace") for line in lines]


def _mind(line: str, tags: set[str]) -> None:
    tag = line[1:]
    if line.startswith("+"):
        tags.add(tag)
    elif tag in tags:
        tags.discard(tag)
        sweep.kill_all(tag)


def main() -> None:
    """Do it for the pid of the owner."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # they mean the session
        signal.signal(number, signal.SIG_IGN)
    _watch(int(sys.argv[1]))


if __name__ == "__main__":
    main()
