"""What one cell printed and displayed, within a budget (pure).

Called by the recorder from the taps, in whichever thread a message is sent.

A stream keeps its head and its tail and counts the rest, so 100 MB of output cost as much memory as
100 kB.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

import orjson

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.long_text import HELD_BYTES, LongText

globals()["__builtins__"] = FROZEN_BUILTINS

_MAX_OUTPUTS: Final = 200
_MARGIN: Final = 4096  # more than a private key, the longest of secrets
_dumps: Final = orjson.dumps
KEPT_BYTES: Final = 8_000_000
"""Largest display that is kept, as it is sent."""
_LINE_CHARS: Final = 200
_KEPT_OF_A_CELL: Final = 64_000_000
_KEPT: Final = frozenset(
    {
        "text/html",
        "text/markdown",
        "text/latex",
        "image/png",
        "image/jpeg",
        "image/svg+xml",
        "application/json",
    }
)
_KEPT_FAMILIES: Final = ("application/vnd.plotly.", "application/vnd.vega")


Redact = Callable[[str], tuple[str, int]]
"""Takes secrets out of a text; returns what is left and how many there were."""


class Kept(NamedTuple):
    """What is kept of a text.

    Attributes:
        text: Without secrets; with a note in the middle where it was cut.
        redacted: How many secrets it held.
        full_bytes: UTF-8 bytes of the whole; None when nothing was cut.
    """

    text: str
    redacted: int
    full_bytes: int | None


HeldOutput = tuple[dict[str, object], str | bytes]
"""A display that is to be kept: its entry in the record, and what was sent."""


class StreamBuffer:
    """Head and tail of one stream.

    A little more than the budget is held, so that a secret which lies across the cut is seen whole
    and does not leave half of itself.
    """

    __slots__ = ("_chars", "_half", "_head", "_head_room", "_tail", "_tail_chars", "full_bytes")

    def __init__(self, budget: int) -> None:
        """Make an empty buffer.

        Args:
            budget: Characters kept in all, half from the head and half from the tail.
        """
        self._half = budget // 2
        self._head: list[str] = []
        self._head_room = self._half + _MARGIN
        self._tail: deque[tuple[str | LongText, int]] = deque()  # so many characters of its end
        self._tail_chars = 0
        self._chars = 0
        self.full_bytes: int = 0

    def add(self, text: str) -> None:
        """Take in a piece of text. O(len(text)) at most, without a copy of what is dropped."""
        self.full_bytes += utf8_bytes(text)
        self._chars += len(text)
        if self._head_room:
            head = text[: self._head_room]
            self._head.append(head)
            self._head_room -= len(head)
            if len(head) == len(text):
                return
            text = text[len(head) :]
        text = text[-(self._half + _MARGIN) :]
        self._add_tail(text, len(text))

    def add_long(self, text: LongText) -> None:
        """Take in a long one. What is not its head is decoded at the end, if it is needed then."""
        self.full_bytes += text.utf8_bytes
        self._chars += text.chars
        rest = text.chars
        if self._head_room:
            head = text.head(self._head_room)
            self._head.append(head)
            self._head_room -= len(head)
            rest -= len(head)
        if rest:
            chars = min(rest, self._half + _MARGIN)
            self._add_tail(text if text.utf8_bytes <= HELD_BYTES else text.tail(chars), chars)

    def end(self, chars: int) -> str:
        """The last characters so far, with secrets; callable while another thread adds."""
        pieces, text = [*self._head, *(_end(*each) for each in [*self._tail])], ""
        while pieces and len(text) < chars:
            text = pieces.pop() + text
        return text[-chars:]

    def _add_tail(self, text: str | LongText, chars: int) -> None:
        self._tail.append((text, chars))
        self._tail_chars += chars
        while self._tail and self._tail_chars - self._tail[0][1] >= self._half + _MARGIN:
            self._tail_chars -= self._tail.popleft()[1]

    def kept(self, redact: Redact) -> Kept:
        """Head and tail within the budget, without secrets, and a note of what was left out."""
        head, tail = "".join(self._head), "".join(_end(*each) for each in self._tail)
        half = self._half
        if self._chars <= 2 * half:
            text, count = redact(head + tail)
            return Kept(text=text, redacted=count, full_bytes=None)
        if self._chars == len(head) + len(tail):
            whole = head + tail
            head, tail = whole[: half + _MARGIN], whole[-(half + _MARGIN) :]
        omitted = self.full_bytes - utf8_bytes(head[:half]) - utf8_bytes(tail[-half:])
        head, before = redact(head)
        tail, after = redact(tail)
        note = f"\n…[{omitted} bytes omitted]…\n"
        return Kept(
            text=head[:half] + note + tail[-half:],
            redacted=before + after,
            full_bytes=self.full_bytes,
        )


def clip(text: str, budget: int, redact: Redact) -> Kept:
    """`text` without secrets, cut to head and tail of `budget` characters when it is longer."""
    if len(text) <= budget:
        clean, count = redact(text)
        return Kept(text=clean, redacted=count, full_bytes=None)
    buffer = StreamBuffer(budget)
    buffer.add(text)
    return buffer.kept(redact)


class CellOutput:
    """Streams, result, displays and the last error of one cell."""

    __slots__ = (
        "_budget", "_room_bytes", "error", "held", "keeps", "outputs", "result", "stderr", "stdout",
    )  # fmt: skip

    def __init__(self, budget: int) -> None:
        self._budget = budget
        # Most cells write to neither.
        self.stdout: StreamBuffer | None = None
        self.stderr: StreamBuffer | None = None
        self.result: str | None = None
        self.outputs: list[dict[str, object]] = []
        self.error: dict[str, object] | None = None
        # Set by the recorder where displays are kept; what is held goes when the cell is written.
        self.keeps: bool = False
        self.held: list[HeldOutput] = []
        self._room_bytes = _KEPT_OF_A_CELL

    def stream(self, name: str, text: str | LongText) -> None:
        """Text on `stdout` or `stderr`."""
        if name == "stderr":
            self.stderr = buffer = self.stderr or StreamBuffer(self._budget)
        else:
            self.stdout = buffer = self.stdout or StreamBuffer(self._budget)
        if type(text) is LongText:
            buffer.add_long(text)
        else:
            buffer.add(text)

    def display(self, data: dict[str, object], *, is_result: bool = False) -> None:
        """A MIME bundle that was displayed, or the value of the last expression."""
        for mime, payload in data.items():
            if len(self.outputs) < _MAX_OUTPUTS:
                entry: dict[str, object] = {"mime": mime, "bytes": _payload_bytes(payload)}
                self.outputs.append(entry)
                if self.keeps:
                    self._hold(entry, mime, payload)
        plain = data.get("text/plain")
        if is_result and type(plain) is str:
            self.result = plain

    @property
    def said_bytes(self) -> int:
        """Written to both streams so far."""
        return sum(each.full_bytes for each in (self.stdout, self.stderr) if each is not None)

    def last_line(self, redact: Redact) -> str:
        """The last line of stdout so far that says something, or of stderr, without secrets."""
        for buffer in (self.stdout, self.stderr):
            # A secret is seen whole; of what was cut at the front, no half of one is told.
            text = "" if buffer is None else redact(buffer.end(_LINE_CHARS + _MARGIN))[0]
            lines = [line for line in text.replace("\r", "\n").split("\n") if line.strip()]
            if lines:
                return lines[-1][-_LINE_CHARS:]
        return ""

    def _hold(self, entry: dict[str, object], mime: str, payload: object) -> None:
        if mime not in _KEPT and not mime.startswith(_KEPT_FAMILIES):
            return
        if type(payload) is not str and type(payload) is not bytes:
            # As text, because a cell may change it later, and its values are the user's.
            try:
                payload = _dumps(payload).decode("utf-8")
            except (TypeError, ValueError):
                return
        size = len(payload)
        if size <= min(KEPT_BYTES, self._room_bytes):
            self._room_bytes -= size
            self.held.append((entry, payload))


def _end(text: str | LongText, chars: int) -> str:
    return text.tail(chars) if type(text) is LongText else text


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
