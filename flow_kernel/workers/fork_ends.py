"""The ends of what a copy of the session and the session speak through (both sides).

Made by `live_fork` before it forks.
"""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from flow_kernel.workers.glimpses import Glimpses

try:
    import fcntl
except ImportError:  # Windows has none, and no fork
    fcntl = None  # type: ignore[assignment]  # the other case

_PIPE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class OurEnds:
    """What the session keeps: descriptors to read, and a socket to answer on."""

    stdout: int
    stderr: int
    faults: int
    frames: int
    answers: socket.socket

    @property
    def pipes(self) -> tuple[int, int, int]:
        """Of native code and programs, and of fatal signals."""
        return self.stdout, self.stderr, self.faults

    def close(self) -> None:
        """Let all go."""
        for fd in (*self.pipes, self.frames):
            with suppress(OSError):
                os.close(fd)
        self.answers.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirEnds:
    """What the copy has: descriptors to write, and a socket to be answered on."""

    stdout: int
    stderr: int
    faults: int
    frames: int
    answers: socket.socket

    def close(self) -> None:
        """Let all go."""
        for fd in (self.stdout, self.stderr, self.faults, self.frames):
            with suppress(OSError):
                os.close(fd)
        self.answers.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkEnds:
    """What a copy begins with.

    Attributes:
        session: The pid of the session.
        tag: That it and all that it starts carries.
        ends: Its ends.
        glimpses: Where it shows what its cell does.
    """

    session: int
    tag: str
    ends: TheirEnds
    glimpses: Glimpses


def pipes() -> tuple[OurEnds, TheirEnds]:
    """Both sides.

    Raises:
        OSError: There can be no more descriptors.
    """
    reads: list[int] = []
    writes: list[int] = []
    try:
        for _ in range(4):
            read, write = os.pipe()
            reads.append(read)
            writes.append(write)
        ours, theirs = socket.socketpair()
    except BaseException:
        for fd in (*reads, *writes):
            os.close(fd)
        raise
    with suppress(OSError, AttributeError):  # a megabyte: who prints a lot waits less often
        fcntl.fcntl(writes[-1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    ours.settimeout(5.0)
    names = ("stdout", "stderr", "faults", "frames")
    return (
        OurEnds(**dict(zip(names, reads, strict=True)), answers=ours),
        TheirEnds(**dict(zip(names, writes, strict=True)), answers=theirs),
    )
