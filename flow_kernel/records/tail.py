"""The last output and the peak memory of a session, kept where a kill cannot reach them.

Called by the recorder for each write to stdout or stderr, by its housekeeping thread for the
memory, and by `session.deaths` of the next kernel to read what a dead one left.

A small file mapped into memory: the kernel of the operating system keeps the pages when the process
is gone. The text is redacted before it enters the map. A burst of writes is persisted at once; a
flood waits for `flush`, five times a second, so a loop of prints pays next to nothing.

    offset 0  peak resident bytes (u64)     8  length of the text (u64)     16  the text, UTF-8
"""

import mmap
import os
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_KEEP_CHARS: Final = 2000
_HOLD_CHARS: Final = 3 * _KEEP_CHARS
_HEADER: Final = struct.Struct("<QQ")
_U64: Final = struct.Struct("<Q")
_SIZE: Final = 16384
_BURST: Final = 64
_PENDING: Final = 1024
_BURST_WINDOW_S: Final = 0.1
_monotonic: Final = time.monotonic
_fallocate: Final = getattr(os, "posix_fallocate", None)
_unlink: Final = os.unlink


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWords:
    """What a session left in its file."""

    peak_rss_bytes: int | None
    output: str


class OutputTail:
    """Writer of the file of one session; a failing disk leaves it without effect."""

    def __init__(self, path: Path, redact: Callable[[str], str]) -> None:
        self._path = path
        self._redact = redact
        self._pending: deque[str] = deque(maxlen=_PENDING)
        self._text = ""
        self._peak = 0
        self._is_flooded = False
        self._window = 0.0
        self._left = _BURST
        self._map: mmap.mmap | None = None
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            fd = os.open(path, flags, 0o600)
            try:
                _allocate(fd)
                self._map = mmap.mmap(fd, _SIZE)
            finally:
                os.close(fd)
        except OSError:
            self._map = None

    def note(self, text: str) -> bool:
        """A piece of output was written. About 0.1 us while a flood is held back, else 5 us.

        Returns:
            True while a flood is held back: pieces may as well come together and later.
        """
        self._pending.append(text if len(text) <= _HOLD_CHARS else text[-_HOLD_CHARS:])
        if not self._is_flooded:
            self._persist()
        return self._is_flooded

    def flush(self) -> None:
        """Persist what a flood held back; called five times a second while a cell runs."""
        self._is_flooded = False
        if self._pending:
            self._persist()

    def clear(self) -> None:
        """Forget the output: a new cell begins."""
        self._pending.clear()
        if self._text:
            self._text = ""
            self._put("")

    def memory(self, rss_bytes: int) -> None:
        """The process uses `rss_bytes` of memory now; the peak is kept."""
        if rss_bytes > self._peak:
            self._peak = rss_bytes
            self._store(0, _U64.pack(rss_bytes))

    def remove(self) -> None:
        """Close and delete the file: the session ended in order."""
        if self._map is not None:
            self._map.close()
            self._map = None
        try:
            _unlink(self._path)
        except OSError:
            pass

    def _persist(self) -> None:
        now = _monotonic()
        if now - self._window > _BURST_WINDOW_S:
            self._window, self._left = now, _BURST
        self._left -= 1
        self._is_flooded = self._left <= 0
        fresh = "".join(self._drain())
        self._text = (self._text + fresh)[-_HOLD_CHARS:]
        # First redacted, then cut: a secret across the cut must not leave half of itself.
        self._put(self._redact(self._text)[-_KEEP_CHARS:])

    def _drain(self) -> list[str]:
        pieces = []
        while self._pending:
            try:
                pieces.append(self._pending.popleft())
            except IndexError:  # another thread was faster
                break
        return pieces

    def _put(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")[-(_SIZE - _HEADER.size) :]
        self._store(_HEADER.size, data)
        self._store(8, _U64.pack(len(data)))

    def _store(self, at: int, data: bytes) -> None:
        if self._map is None:
            return
        try:
            self._map[at : at + len(data)] = data
        except ValueError:  # another thread has just closed it: the session ends
            self._map = None


def read_last_words(path: Path) -> LastWords:
    """What the session whose file `path` is left; empty when the file is missing or short."""
    try:
        data = path.read_bytes()
    except OSError:
        return LastWords(peak_rss_bytes=None, output="")
    if len(data) < _HEADER.size:
        return LastWords(peak_rss_bytes=None, output="")
    peak, length = _HEADER.unpack_from(data)
    text = data[_HEADER.size : _HEADER.size + min(length, _SIZE)].decode("utf-8", "replace")
    return LastWords(peak_rss_bytes=peak or None, output=text)


def _allocate(fd: int) -> None:
    """Give the file its size, and its room: on a full disk a write to the map kills the process."""
    if _fallocate is None:
        os.ftruncate(fd, _SIZE)
    else:
        _fallocate(fd, 0, _SIZE)
