"""New lines of log files as they are written.

Called by `log --follow`.

Files are known by their inode, so a log that was renamed by rotation goes on where it was, and the
fresh file of the same name is read from its start. Only whole lines are given: what has no newline
yet waits for it.
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

FileKey = tuple[int, int]
"""Device and inode."""


@dataclass(slots=True)
class _Tail:
    """How far a file was read, and its first bytes, which tell it from a later one in its place."""

    offset: int = 0
    head: bytes = b""


class Follower:
    """Reads what was appended to a changing set of files; `poll` costs one open a file."""

    def __init__(self, list_files: Callable[[], Iterable[Path]]) -> None:
        """Follow the files that `list_files` names, asked again at every poll."""
        self._list_files = list_files
        self._tails: dict[FileKey, _Tail] = {}

    def skip(self, key: FileKey, offset: int) -> None:
        """Begin at `offset` of the file `key`, because what is before it was read already."""
        self._tails[key] = _Tail(offset)

    def poll(self) -> list[bytes]:
        """The whole lines that are new since the last call, without their newlines."""
        lines: list[bytes] = []
        seen = set()
        for path in self._list_files():
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:  # renamed or pruned since it was listed; the next poll knows
                continue
            try:
                stat = os.fstat(fd)
                key = (stat.st_dev, stat.st_ino)
                seen.add(key)
                lines.extend(_read(fd, self._tails.setdefault(key, _Tail()), stat.st_size))
            finally:
                os.close(fd)
        for key in self._tails.keys() - seen:
            del self._tails[key]
        return lines


def file_key(path: Path) -> FileKey | None:
    """What `path` is now, whatever it is called later; None when it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _read(fd: int, tail: _Tail, size: int) -> list[bytes]:
    if size < tail.offset or os.pread(fd, len(tail.head), 0) != tail.head:
        tail.offset, tail.head = 0, b""
    found: list[bytes] = []
    rest = b""
    position = tail.offset
    while block := os.pread(fd, _BLOCK_BYTES, position):
        position += len(block)
        *whole, rest = (rest + block).split(b"\n")
        found.extend(line for line in whole if line)
    tail.offset = position - len(rest)
    if len(tail.head) < _HEAD_BYTES:
        tail.head = os.pread(fd, min(_HEAD_BYTES, tail.offset), 0)
    return found


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
