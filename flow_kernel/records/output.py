"""What one cell printed and displayed, within a budget (pure).

Called by the recorder from the taps, in whichever thread a message is sent.

A stream keeps its head and its tail and counts the rest, so 100 MB of output cost as much memory as
100 kB.
"""

from collections import deque
from typing import Final

import orjson

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_MAX_OUTPUTS: Final = 200
_dumps: Final = orjson.dumps


class StreamBuffer:
    """Head and tail of one stream."""

    __slots__ = ("_half", "_head", "_head_room", "_tail", "_tail_chars", "full_bytes")

    def __init__(self, budget: int) -> None:
        """Make an empty buffer.

        Args:
            budget: Characters kept in all, half from the head and half from the tail.
        """
        self._half = budget // 2
        self._head: list[str] = []
        self._head_room = self._half
        self._tail: deque[str] = deque()
        self._tail_chars = 0
        self.full_bytes = 0

    def add(self, text: str) -> None:
        """Take in a piece of text. O(len(text)) at most, without a copy of what is dropped."""
        self.full_bytes += utf8_bytes(text)
        if self._head_room:
            head = text[: self._head_room]
            self._head.append(head)
            self._head_room -= len(head)
            if len(head) == len(text):
                return
            text = text[len(head) :]
        text = text[-self._half :]
        self._tail.append(text)
        self._tail_chars += len(text)
        while self._tail and self._tail_chars - len(self._tail[0]) >= self._half:
            self._tail_chars -= len(self._tail.popleft())

    def text(self) -> tuple[str, bool]:
        """What was kept, with a note of what was left out; True when something was."""
        head = "".join(self._head)
        tail = "".join(self._tail)[-self._half :] if self._tail else ""
        omitted = self.full_bytes - utf8_bytes(head) - utf8_bytes(tail)
        if omitted <= 0:
            return head + tail, False
        return f"{head}\n…[{omitted} bytes omitted]…\n{tail}", True


class CellOutput:
    """Streams, result, displays and the last error of one cell."""

    __slots__ = ("error", "outputs", "result", "stderr", "stdout")

    def __init__(self, budget: int) -> None:
        self.stdout = StreamBuffer(budget)
        self.stderr = StreamBuffer(budget)
        self.result: str | None = None
        self.outputs: list[dict[str, object]] = []
        self.error: dict[str, object] | None = None

    def stream(self, name: str, text: str) -> None:
        """Text on `stdout` or `stderr`."""
        (self.stderr if name == "stderr" else self.stdout).add(text)

    def display(self, data: dict[str, object], *, is_result: bool = False) -> None:
        """A MIME bundle that was displayed, or the value of the last expression."""
        for mime, payload in data.items():
            if len(self.outputs) < _MAX_OUTPUTS:
                self.outputs.append({"mime": mime, "bytes": _payload_bytes(payload)})
        plain = data.get("text/plain")
        if is_result and type(plain) is str:
            self.result = plain


def clip(text: str, budget: int) -> tuple[str, int | None]:
    """`text` cut to head and tail of `budget` characters, and its full bytes when it was cut."""
    if len(text) <= budget:
        return text, None
    buffer = StreamBuffer(budget)
    buffer.add(text)
    return buffer.text()[0], buffer.full_bytes


def utf8_bytes(text: str) -> int:
    """Length of `text` in UTF-8; a lone surrogate counts as its escape."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "backslashreplace"))


def _payload_bytes(payload: object) -> int:
    if type(payload) is str:
        return utf8_bytes(payload)
    if type(payload) is bytes:
        return len(payload)
    try:
        return len(_dumps(payload))
    except (TypeError, ValueError):
        return 0
