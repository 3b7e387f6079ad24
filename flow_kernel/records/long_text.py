"""A long text as it stands in a JSON message, of which the ends are decoded and no more (pure).

Made by `workers.messages`; read by `records.output` and by `workers.said`. How long it is was said
by who wrote it: to count the characters of a megabyte takes as long as to decode it.
"""

from typing import Final, final

import orjson

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

HELD_BYTES: Final = 4 << 20
"""Of a longer one nobody holds more than the ends."""
_loads: Final = orjson.loads
_MOST_BYTES: Final = 6
"""Of one character in JSON: `\\u001b`."""
_TRIES: Final = (17 / 16, 2.0, _MOST_BYTES)
"""So many bytes for each character are looked at, until there are enough characters."""
_SLACK: Final = 64
_BACKSLASH: Final = b"\\"


@final
class LongText:
    """See the module.

    Args:
        raw: What stands between the quotes, escaped as JSON wants it.
        chars: How many characters these are.
        utf8_bytes: And how many bytes in UTF-8.
    """

    __slots__ = ("_raw", "chars", "utf8_bytes")

    def __init__(self, raw: memoryview, *, chars: int, utf8_bytes: int) -> None:
        self._raw = raw
        self.chars: int = chars
        self.utf8_bytes: int = utf8_bytes

    def __str__(self) -> str:
        """All of it."""
        return _decoded(bytes(self._raw))

    def head(self, chars: int) -> str:
        """The first characters. O(chars)."""
        raw, text = self._raw, ""
        for each in _TRIES:
            text = _decoded(bytes(raw[: _whole(raw, int(chars * each) + _SLACK)]))
            if len(text) >= chars:
                break
        return text[:chars]

    def tail(self, chars: int) -> str:
        """The last characters. O(chars)."""
        raw, text = self._raw, ""
        if chars <= 0:
            return text
        for each in _TRIES:
            text = _decoded(bytes(raw[_whole(raw, len(raw) - int(chars * each) - _SLACK) :]))
            if len(text) >= chars:
                break
        return text[-chars:]


def _decoded(raw: bytes) -> str:
    try:
        if _BACKSLASH not in raw:
            return raw.decode("utf-8")
        text: str = _loads(b'"%b"' % raw)
    except ValueError:  # nothing that we write
        return raw.decode("utf-8", "replace")
    return text


def _whole(raw: memoryview, at: int) -> int:
    """The first place from `at` on that is within no character and no escape."""
    if at <= 0:
        return 0
    while at < len(raw) and raw[at] & 0xC0 == 0x80:
        at += 1
    begin = max(0, at - _MOST_BYTES)
    before = bytes(raw[begin:at])
    last = before.rfind(_BACKSLASH)
    if last < 0 or not _begins(raw, begin + last):
        return min(at, len(raw))
    is_long = bytes(raw[begin + last + 1 : begin + last + 2]) == b"u"
    return min(max(at, begin + last + (_MOST_BYTES if is_long else 2)), len(raw))


def _begins(raw: memoryview, at: int) -> bool:
    """True where the backslash at that place is not itself escaped."""
    window = _SLACK
    while True:
        before = bytes(raw[max(0, at - window) : at])
        run = len(before) - len(before.rstrip(_BACKSLASH))
        if run < window:
            return run % 2 == 0
        window *= window
