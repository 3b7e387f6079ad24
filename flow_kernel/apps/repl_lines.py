"""Cuts what arrives on a pipe into lines, and keeps no line that is too long (pure).

Called by `repl_session` for stdin.
"""

from collections.abc import Iterator
from typing import Final

_NEWLINE: Final = b"\n"


class LineSplitter:
    """Bytes in, lines out.

    Args:
        limit: Most bytes of a line; a longer one is given out as None.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """The lines that `data` ends, without their newline; None for each that is too long."""
        *ended, rest = data.split(_NEWLINE)
        for piece in ended:
            self._add(piece)
            yield self._take()
        self._add(rest)

    def end(self) -> Iterator[bytes | None]:
        """The last line, when no newline ended it."""
        if self._size:
            yield self._take()

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            self._parts.clear()
        elif piece:
            self._parts.append(piece)

    def _take(self) -> bytes | None:
        line = None if self._size > self._limit else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line
