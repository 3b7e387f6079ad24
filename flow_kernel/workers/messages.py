"""What a worker may say to clients, told apart by the headers of its frames (pure).

Called by `worker`. Frames are passed on as they are, same bytes, same signature, but for those of
a worker that has a key of its own: they are proved and signed anew.
"""

import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import orjson

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


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message, parsed as far as everybody needs it.

    Attributes:
        kind: `msg_type` of its header.
        parent_id: `msg_id` of the request that it belongs to.
        frames: As they came.
        parts: Header, parent header, metadata and content, as they came, and buffers.
    """

    kind: str
    parent_id: str
    frames: Sequence[bytes]
    parts: Sequence[bytes]

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
    parts = list(frames)[list(frames).index(_DELIMITER) + 2 :]  # behind the signature
    if len(parts) < _PARTS:
        return None
    kind = parsed(parts[0]).get("msg_type")
    parent_id = parsed(parts[1]).get("msg_id")
    if not isinstance(kind, str):
        return None
    return Message(
        kind=kind,
        parent_id=parent_id if isinstance(parent_id, str) else "",
        frames=frames,
        parts=parts,
    )


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
