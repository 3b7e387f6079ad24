"""What a worker may say to clients, told apart by the headers of its frames (pure).

Called by `worker`. Frames are passed on as they are, same bytes, same signature, but for those of
a worker that has a key of its own: they are proved and signed anew. What a worker sends before a
message for its session alone is left out.
"""

import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

import orjson

from flow_kernel.records.long_text import LongText

_DELIMITER: Final = b"<IDS|MSG>"
_PARTS: Final = 4
TARGET: Final = "flow_target"
"""A worker takes comms that clients open under this name."""
PASSED_ON: Final = frozenset(
    {
        "stream",
        "display_data",
        "update_display_data",
        "execute_result",
        "error",
        "clear_output",
        "comm_open",
        "comm_msg",
        "comm_close",
    }
)
"""Everything else that a worker publishes is about itself, or unknown."""
LONG_CHARS: Final = 1 << 16
"""Text of a stream that is longer comes with its length."""
_LENGTH: Final = b"flow_length:"
_SAID: Final = re.compile(_LENGTH + rb"(\d+):(\d+):(\d+)")
_BEFORE_TEXT: Final = re.compile(rb'\{"name": ?"(stdout|stderr)", ?"text": ?"')
_BEHIND_TEXT: Final = b'"}'


class Long(NamedTuple):
    """Long text of a stream.

    Attributes:
        name: Of the stream.
        text: Not decoded yet.
        spent: How much its worker has said with it; see `backlog`.
    """

    name: str
    text: LongText
    spent: int


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message, parsed as far as everybody needs it.

    Attributes:
        kind: `msg_type` of its header.
        parent_id: `msg_id` of the request that it belongs to.
        frames: As they came; large ones may be those of ZeroMQ.
        parts: Header, parent header, metadata and content, as they came, and buffers.
        long: Of a stream, where its text need not be parsed.
    """

    kind: str
    parent_id: str
    frames: Sequence[bytes]
    parts: Sequence[bytes]
    long: Long | None = None

    @cached_property
    def parent(self) -> dict[str, Any]:
        """The header of the request."""
        return parsed(self.parts[1])

    @cached_property
    def content(self) -> dict[str, Any]:
        """Its content."""
        return parsed(self.parts[3])

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Its metadata."""
        return parsed(self.parts[2])

    @property
    def buffers(self) -> Sequence[bytes]:
        """What follows the content."""
        return self.parts[4:]


def parsed(data: bytes) -> dict[str, Any]:
    """A JSON object; empty where that is none.

    A lone surrogate travels as the byte that it stands for, which is no UTF-8, and numbers may be
    `NaN`: Python's own reader takes both, at a tenth of the speed.
    """
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            found = json.loads(bytes(data).decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return {}
    return found if isinstance(found, dict) else {}


def read(frames: Sequence[bytes]) -> Message | None:
    """A message from its frames; None where they are none."""
    if _DELIMITER not in frames:
        return None
    frames = list(frames)
    at = frames.index(_DELIMITER)
    parts: list[Any] = [  # behind the signature
        each if type(each) is bytes else memoryview(each) for each in frames[at + 2 :]
    ]
    if len(parts) < _PARTS:
        return None
    has_length = at > 0 and frames[at - 1].startswith(_LENGTH)
    length = frames.pop(at - 1) if has_length else b""  # no client has to know it
    kind = parsed(parts[0]).get("msg_type")
    parent_id = parsed(parts[1]).get("msg_id")
    if not isinstance(kind, str):
        return None
    return Message(
        kind=kind,
        parent_id=parent_id if isinstance(parent_id, str) else "",
        frames=frames,
        parts=parts,
        long=_long(parts[3], length) if length and kind == "stream" else None,
    )


def length_of(chars: int, utf8_bytes: int, spent: int) -> bytes:
    """What a worker sends before a message with nothing but long text of a stream.

    Args:
        chars: Of the text.
        utf8_bytes: Of the text.
        spent: How much was said with it; see `backlog`.
    """
    return b"%b%d:%d:%d" % (_LENGTH, chars, utf8_bytes, spent)


def _long(content: bytes, length: bytes) -> Long | None:
    begin, said = _BEFORE_TEXT.match(content), _SAID.fullmatch(length)
    raw = memoryview(content)
    if begin is None or said is None or bytes(raw[-len(_BEHIND_TEXT) :]) != _BEHIND_TEXT:
        return None
    raw = raw[begin.end() : -len(_BEHIND_TEXT)]
    text = LongText(raw, chars=int(said[1]), utf8_bytes=int(said[2]))
    return Long(name=begin[1].decode(), text=text, spent=int(said[3]))


def reader(theirs: bytes, ours: bytes) -> Callable[[Sequence[bytes]], Message | None]:
    """What reads the messages of a worker as if its session had signed them.

    Args:
        theirs: The key of the worker.
        ours: The key of its session.
    """
    if theirs == ours:
        return read

    def read_and_sign(frames: Sequence[bytes]) -> Message | None:
        message = read(frames)
        return None if message is None else signed_anew(message, theirs, ours)

    return read_and_sign


def signed_anew(message: Message, theirs: bytes, ours: bytes) -> Message | None:
    """A message under another key; None where its own signature is wrong.

    Args:
        message: As it came.
        theirs: The key that it has to be signed with.
        ours: The key that it will be signed with.
    """
    frames = list(message.frames)
    at = frames.index(_DELIMITER) + 1
    if not hmac.compare_digest(bytes(frames[at]), _signature(message.parts, theirs)):
        return None
    frames[at] = _signature(message.parts, ours)
    return replace(message, frames=frames)


def _signature(parts: Sequence[bytes], key: bytes) -> bytes:
    if not key:
        return b""
    signing = hmac.new(key, digestmod="sha256")
    for part in parts[:_PARTS]:
        signing.update(part)
    return signing.hexdigest().encode()
