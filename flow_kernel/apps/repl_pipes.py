"""The edges of `jupyter flow repl`: lines out, signals in.

Called by `repl` and `repl_session`.

A client that reads slowly must not keep us from a signal, so a line is written in pieces that a
pipe takes at once, and a signal wakes whoever waits.
"""

import os
import select
import signal
from types import FrameType
from typing import Any, Final, Self

_PIECE: Final = 4096  # PIPE_BUF: a pipe that is ready takes as much without blocking
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):
    """A signal asked for the end."""


class Signals:
    """Signals of this process as facts that a loop looks at; `fd` is readable when one came."""

    def __init__(self) -> None:
        self.is_ending: bool = False
        self.fd: int
        self._wake: int
        self.fd, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._interrupts = 0
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._wakeup_before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        for number in (signal.SIGINT, *_ENDING):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self.fd)
        os.close(self._wake)

    def drain(self) -> None:
        """Forget that `fd` is readable."""
        try:
            while os.read(self.fd, 512):
                pass
        except BlockingIOError:
            pass

    def take_interrupt(self) -> bool:
        """True when a Ctrl-C came since the last call."""
        came, self._interrupts = self._interrupts > 0, 0
        return came

    def check(self) -> None:
        """Raise `Ended` when the end was asked for."""
        if self.is_ending:
            raise Ended

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self._interrupts += 1
        else:
            self.is_ending = True


class Output:
    """Whole lines to a descriptor.

    Args:
        fd: Where to.
        signals: Who may end the wait for a slow reader.
    """

    def __init__(self, fd: int, signals: Signals) -> None:
        self.fd: int = fd
        self._signals = signals
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._poll.register(signals.fd, select.POLLIN)

    def write(self, line: bytes) -> None:
        """Write a line and hand it to the system.

        Raises:
            BrokenPipeError: Nobody reads any more.
            Ended: The end was asked for before the reader took it.
        """
        left = memoryview(line)
        while left:
            self._signals.check()
            ready = dict(self._poll.poll())
            if self.fd not in ready:
                self._signals.drain()
                continue
            try:
                left = left[os.write(self.fd, left[:_PIECE]) :]
            except BlockingIOError:  # shared with somebody who made it so, and full again
                continue
