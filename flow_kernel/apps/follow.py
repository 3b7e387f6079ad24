"""New lines of log files as they are written.

Called by `log --follow`.

A file is known by the beginning of its first line, which no two logs share. So a log that rotation
renamed goes on where it was, and the fresh file of the same name is read from its start. A repair
leaves another file with the same beginning: the last line that was given is looked for in it.
Only whole lines are given: what has no newline yet waits for it.
"""

import errno
import os
import select
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.apps.terminal import Terminal

_BLOCK_BYTES: Final = 1 << 20
_HEAD_BYTES: Final = 200


@dataclass(slots=True)
class _Tail:
    """How far a file was read, and the line that ends there."""

    offset: int = 0
    last: bytes = b""


class Follower:
    """Reads what was appended to a changing set of files; `poll` costs one open a file."""

    def __init__(self, list_files: Callable[[], Iterable[Path]]) -> None:
        """Follow the files that `list_files` names, asked again at every poll."""
        self._list_files = list_files
        self._tails: dict[bytes, _Tail] = {}

    def skip(self, first: bytes, last: bytes, offset: int) -> None:
        """Take as read what is before `offset` in the file whose first line is `first`.

        Args:
            first: Its first line that is not empty.
            last: The line that ends at `offset`.
            offset: Where that line's newline is, or will be.
        """
        self._tails[first[:_HEAD_BYTES]] = _Tail(offset, last)

    def poll(self) -> list[bytes]:
        """The whole lines that are new since the last call, without their newlines."""
        lines: list[bytes] = []
        for path in self._list_files():
            try:
                fd = os.open(path, os.O_RDONLY)
            except OSError:  # renamed or pruned since it was listed; the next poll finds it
                continue
            try:
                head = _head(fd)
                if head:
                    lines.extend(_read(fd, self._tails.setdefault(head, _Tail())))
            finally:
                os.close(fd)
        return lines


def _head(fd: int) -> bytes:
    """What tells the file from others; empty while its first line is too short for that."""
    start = os.pread(fd, 2 * _HEAD_BYTES, 0).lstrip(b"\n")
    first, newline, _ = start.partition(b"\n")
    return first[:_HEAD_BYTES] if newline or len(first) >= _HEAD_BYTES else b""


def _read(fd: int, tail: _Tail) -> list[bytes]:
    if os.pread(fd, len(tail.last), tail.offset - len(tail.last)) != tail.last:
        tail.offset = _end_of(fd, tail.last)
    found: list[bytes] = []
    rest = b""
    position = tail.offset
    while block := os.pread(fd, _BLOCK_BYTES, position):
        position += len(block)
        *whole, rest = (rest + block).split(b"\n")
        found.extend(line for line in whole if line)
    end = position - len(rest)
    if found:
        tail.last = found[-1]
        # The newline itself is read again, and gives nothing.
        tail.offset = end - 1
    return found


def _end_of(fd: int, last: bytes) -> int:
    """Where `last` ends in a file that has changed; its start when the line is not there."""
    content = b"\n" + os.pread(fd, os.fstat(fd).st_size, 0)
    found = content.rfind(b"\n" + last + b"\n")
    return found + len(last) if found >= 0 else 0


def wait(terminal: Terminal, seconds: float) -> None:
    """Wait `seconds`, or until nobody reads the answers any more.

    Raises:
        BrokenPipeError: The other end of the pipe was closed; a write would find out only with the
            next record.
    """
    poller = select.poll()
    try:
        poller.register(terminal.out.fileno(), 0)
    except (OSError, ValueError):  # no descriptor behind it, or one that cannot be polled
        pass
    if any(events & select.POLLERR for _, events in poller.poll(seconds * 1000)):
        raise BrokenPipeError(errno.EPIPE, "nobody reads")
