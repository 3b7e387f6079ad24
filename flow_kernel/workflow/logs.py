"""What a step wrote to stderr: passed on as it comes, its head and its tail kept (pure).

Used by `attempt`, one for each attempt.
"""

import codecs
from collections import deque
from collections.abc import Callable
from typing import Final

_HEAD_CHARS: Final = 32_000
_TAIL_CHARS: Final = 32_000


class Logs:
    """Bytes in, whole characters out.

    Args:
        pass_on: Takes each piece of text.
    """

    def __init__(self, pass_on: Callable[[str], None]) -> None:
        self._pass_on = pass_on
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._head = ""
        self._tail: deque[str] = deque()
        self._tail_chars = 0
        self._dropped = 0

    def __call__(self, data: bytes) -> None:
        """Take what was written."""
        self._take(self._decoder.decode(data))

    def text(self) -> str:
        """What is kept, with a line where something is missing."""
        self._take(self._decoder.decode(b"", final=True))
        self._decoder.reset()
        tail = "".join(self._tail)
        if len(tail) > _TAIL_CHARS:
            dropped, tail = len(tail) - _TAIL_CHARS, tail[-_TAIL_CHARS:]
        else:
            dropped = 0
        missing = self._dropped + dropped
        cut = f"\n… {missing:,} characters are not kept here …\n" if missing else ""
        return f"{self._head}{cut}{tail}"

    def tail(self) -> str:
        """The end of it."""
        return self.text()[-_TAIL_CHARS:]

    def _take(self, text: str) -> None:
        if not text:
            return
        self._pass_on(text)
        room = _HEAD_CHARS - len(self._head)
        if room > 0:
            self._head += text[:room]
            text = text[room:]
        if text:
            self._tail.append(text)
            self._tail_chars += len(text)
            while self._tail_chars - len(self._tail[0]) > _TAIL_CHARS:
                gone = len(self._tail.popleft())
                self._tail_chars -= gone
                self._dropped += gone
