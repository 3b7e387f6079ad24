"""Hears what a copy of the session says, until it has ended: one thread for each copy.

Run by `live_fork`. Nothing is read while clients have too much before them: then the copy waits.

    pipes of stdout, stderr, faults ─┐ first: what native code wrote before a message
    frames ──────────────────────────┼─▶ Listener
    pidfd ───────────────────────────┘ the end; then what is left in them, and no more
"""

import logging
import os
import select
import time
from typing import Final, Protocol

from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.fork_ends import OurEnds
from flow_kernel.workers.fork_frames import Frame, Reader
from flow_kernel.workers.processes import Ended

_LOG: Final = logging.getLogger(__name__)
_READ_BYTES: Final = 1 << 18
_FULL_S: Final = 0.005
_LOOK_MS: Final = 50
_REST_MS: Final = 200
_SOON_MS: Final = 1
"""`print` writes the end of its line by itself, right after it."""
_BYE_S: Final = 2.0
_FLOOD: Final = 16


class Listener(Protocol):
    """What is told of a copy; called in the thread."""

    is_left: bool
    """Nothing more is wanted of it."""

    @property
    def has_unsaid(self) -> bool:
        """Text waits for the end of its line."""

    def on_text(self, number: int, data: bytes) -> None:
        """Text on a stream."""

    def on_fault(self, data: bytes) -> None:
        """Stacks at a fatal signal."""

    def on_frame(self, frame: Frame) -> None:
        """Anything else."""

    def say_text(self) -> None:
        """The end of the line does not come soon."""

    def reaped(self) -> Ended | None:
        """How it ended; None while it runs."""

    def force(self) -> None:
        """It does not end by itself."""


class Hearing:
    """The ears for one copy.

    Args:
        ends: What is heard.
        pidfd: Tells its end; -1 where the system has none.
        listener: Told.
        backlog: Of the channel that all goes to.
    """

    def __init__(self, ends: OurEnds, pidfd: int, listener: Listener, backlog: Backlog) -> None:
        self._ends = ends
        self._pidfd = pidfd
        self._listener = listener
        self._backlog = backlog
        self._reader = Reader()
        self._in_a_row = 0
        self._poll = select.poll()
        self._open = [*ends.pipes, ends.frames]
        for fd in self._open:
            os.set_blocking(fd, False)
            self._poll.register(fd, select.POLLIN)
        if pidfd >= 0:
            self._poll.register(pidfd, select.POLLIN)

    def run(self) -> Ended:
        """Hear all of it. Returns how it ended."""
        left_s: float | None = None
        while True:
            may_have_ended = self._is_held_back() or self._hear(self._wait_ms())
            if may_have_ended and (ended := self._listener.reaped()) is not None:
                break
            if self._listener.is_left:
                left_s = left_s or time.monotonic()
                if time.monotonic() - left_s > _BYE_S:
                    self._listener.force()
        for fd in [*self._open]:
            self._drain(fd)
        return ended

    def drain_pipes(self) -> None:
        """What native code wrote by now."""
        for fd in self._ends.pipes:
            if fd in self._open:
                self._drain(fd)

    # -- inside ------------------------------------------------------------------------------------

    def _wait_ms(self) -> int:
        if self._listener.has_unsaid:
            return _SOON_MS
        return _LOOK_MS if self._pidfd < 0 else _REST_MS

    def _is_held_back(self) -> bool:
        self._backlog.look()
        if not self._backlog.is_full:
            return False
        time.sleep(_FULL_S)  # nobody tells when a client has read
        return True

    def _hear(self, wait_ms: int) -> bool:
        """Take what there is, or comes in time; True where it may have ended."""
        ready = {fd for fd, _ in self._poll.poll(wait_ms)}
        if not ready:
            self._listener.say_text()
        for fd in [each for each in self._open if each in ready]:
            self._read(fd)
        self._mind_flood(is_text=self._listener.has_unsaid)
        return not ready or self._pidfd in ready or self._pidfd < 0

    def _mind_flood(self, *, is_text: bool) -> None:
        """Where piece follows piece, take several at once."""
        self._in_a_row = self._in_a_row + 1 if is_text else 0
        if self._in_a_row > _FLOOD:
            time.sleep(_SOON_MS / 1000)  # its pipe has room for far more than comes meanwhile

    def _drain(self, fd: int) -> None:
        while self._read(fd):
            pass

    def _read(self, fd: int) -> bool:
        """Take what has arrived; False where there was nothing."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(fd)
            self._open.remove(fd)
            return False
        self._tell(fd, data)
        return True

    def _tell(self, fd: int, data: bytes) -> None:
        ends, listener = self._ends, self._listener
        if fd == ends.frames:
            for frame in self._reader.feed(data):
                try:
                    listener.on_frame(frame)
                except Exception:  # noqa: BLE001 - the copy may say anything: it costs one message
                    _LOG.exception("flow: a message of a copy of the session was dropped")
        elif fd == ends.faults:
            listener.on_fault(data)
        else:
            listener.on_text((ends.stdout, ends.stderr).index(fd), data)
