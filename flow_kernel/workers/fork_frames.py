"""What a copy of the session and the session say to each other (both sides; pure).

Written by `shell.forked.ways` in the copy, read by `live_fork` in the session, and the other way.

    copy ─▶ OUT, ERR   text of Python's streams, as UTF-8; lone surrogates are escaped
            MESSAGE    the frames of a message of Jupyter that clients may see, or a call
            QUESTION   the content of a request for input
            REPLY      the content of the execute reply, and what its job has found
    session ─▶ ANSWER  the content of an input reply: to a question, or to a call

Each is its kind in one byte, its length in four, and so many bytes; all in one stream, so that text
and displays arrive in the order in which they were made.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

OUT, ERR, MESSAGE, QUESTION, REPLY, ANSWER = range(6)
HEAD: Final = struct.Struct("<BI")
_LENGTH: Final = struct.Struct("<I")
MOST_BYTES: Final = (1 << 32) - 1


class Frame(NamedTuple):
    """One of them: its kind, and what it says."""

    kind: int
    data: bytes


def framed(kind: int, data: bytes) -> bytes:
    """The bytes of a frame.

    Raises:
        ValueError: It is longer than four gigabytes.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes are too many for one message")
    return HEAD.pack(kind, len(data)) + data


def joined(parts: Sequence[bytes | memoryview]) -> bytes:
    """The frames of one message as one text of bytes."""
    pieces: list[bytes] = []
    for part in parts:
        data = bytes(part)
        pieces += (_LENGTH.pack(len(data)), data)
    return b"".join(pieces)


def parted(data: bytes) -> list[bytes]:
    """What `joined` has joined; what is cut off at its end is left out."""
    found, at = [], 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        found.append(data[at : at + length])
        at += length
    return found


class Reader:
    """Frames out of a stream that arrives in pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """The frames that are whole with this piece; text that follows text is one frame."""
        self._data += piece
        text_kind, texts = OUT, list[bytes]()
        for kind, data in self._whole():
            if texts and kind != text_kind:
                yield Frame(text_kind, b"".join(texts))
                texts = []
            if kind in (OUT, ERR):
                text_kind = kind
                texts.append(data)
            else:
                yield Frame(kind, data)
        if texts:
            yield Frame(text_kind, b"".join(texts))

    def _whole(self) -> Iterator[tuple[int, bytes]]:
        data, at = self._data, 0
        while at + HEAD.size <= len(data):
            kind, length = HEAD.unpack_from(data, at)
            end = at + HEAD.size + length
            if end > len(data):
                break
            yield kind, bytes(data[at + HEAD.size : end])
            at = end
        del data[:at]
