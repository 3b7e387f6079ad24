"""One event for an agent as one line of text, signed and counted; and how it is checked (pure).

Called by `session.announcer` to write and by `flow_kernel.events` to read.

    MCP::<name> {"s":<session>,"n":<nonce>,"q":<number>,"sig":<32 hex>, …the event's own fields}

The signature is blake2s, keyed with 32 bytes that only `register` gives away, over the bytes of the
line without the `sig` member. A line is ASCII and 300 bytes at most: nothing in it can end the line
or move a cursor. Text that is too long is cut (it ends with `...`, and `cut` is true), an id never:
one that finds no room is left out.

The names and fields of the events stand in `event_schemas`.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson

from flow_kernel.records.codec import clean_text
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

PREFIX: Final = "MCP::"
LINE_BYTES: Final = 300
"""Most bytes of a line, its newline included."""
NEED_APPROVAL_CODE: Final = 2001
NAMES: Final = frozenset(
    (
        *("task_start", "step_start", "step_end", "progress", "task_output", "task_complete"),
        *("task_error", "task_finish", "need_approval", "approval_decided", "approval_reminder"),
        *("checkpoint", "rollback", "worker_started", "worker_stopped", "block_detected", "death"),
    )
)
OWN_KEYS: Final = frozenset(("s", "n", "q", "sig", "cut"))
"""Keys that no field of an event may have."""

_LINE: Final = re.compile(
    rb"MCP::([a-z_]{1,32}) "
    rb'(\{"s":"([0-9a-f]{32})","n":"([0-9a-f]{16})","q":([1-9][0-9]{0,17})),'
    rb'"sig":"([0-9a-f]{32})"(.*\})',
    re.DOTALL,
)
_TEXT_CHARS: Final = 300
_MORE: Final = "..."
_EXACT: Final = ("id", "_id")
_dumps: Final = orjson.dumps
_loads: Final = orjson.loads
_json_ascii: Final = json.JSONEncoder(separators=(",", ":")).encode
_blake2s: Final = hashlib.blake2s
_same: Final = hmac.compare_digest

Fields = Mapping[str, "str | int | float | bool | None"]


class Checked(NamedTuple):
    """A line whose signature is right.

    Attributes:
        name: One of `NAMES`.
        session: 32 hex.
        nonce: 16 hex.
        seq: From 1, counted per session.
        fields: The event's own.
    """

    name: str
    session: str
    nonce: str
    seq: int
    fields: dict[str, object]


def encode(name: str, fields: Fields, *, key: bytes, session: str, nonce: str, seq: int) -> str:
    r"""The line of one event, with its newline.

    Args:
        name: One of `NAMES`.
        fields: Its own; texts that are too long are cut, what is no scalar of JSON becomes text.
        key: 32 bytes.
        session: 32 hex.
        nonce: 16 hex.
        seq: From 1.

    Returns:
        ASCII, at most `LINE_BYTES`, with one `\n`, at its end.

    Raises:
        ValueError: There is no event of that name.
    """
    if name not in NAMES:
        raise ValueError(f"{name!r} is no event")
    head = f'{{"s":"{session}","n":"{nonce}","q":{seq}'
    room = LINE_BYTES - len(PREFIX) - len(name) - 1 - len(head) - 41 - 1
    tail = _tail(fields)
    if len(tail) > room:
        tail = _cut_tail(fields, room)
    sig = _sign(key, name.encode(), head.encode(), tail.encode())
    return f'{PREFIX}{name} {head},"sig":"{sig}"{tail}\n'


def check(line: bytes, key: bytes) -> Checked | None:
    """What a line says; None when it is no event that was signed with `key`.

    Args:
        line: Without its newline.
        key: 32 bytes.
    """
    if len(line) >= LINE_BYTES:
        return None
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    name, head, session, nonce, seq, sig, tail = found.groups()
    if not _same(_sign(key, name, head, tail).encode(), sig):
        return None
    try:
        said = _loads(head + tail)
    except ValueError:  # signed by somebody who knows the key and is not us
        return None
    fields = {k: v for k, v in said.items() if k not in ("s", "n", "q")}
    return Checked(name.decode(), session.decode(), nonce.decode(), int(seq), fields)


def _sign(key: bytes, name: bytes, head: bytes, tail: bytes) -> str:
    return _blake2s(name + b" " + head + tail, key=key, digest_size=16).hexdigest()


def _tail(fields: Fields) -> str:
    """The fields as the rest of an object that has begun; ASCII."""
    if not fields:
        return "}"
    try:
        body = _dumps(fields)
    except TypeError:  # also what is no UTF-8
        body = b"\xff"
    if not body.isascii() or b"\x7f" in body or OWN_KEYS & fields.keys():
        return _clean_tail(fields)
    return f",{body[1:].decode()}"


def _clean_tail(fields: Fields) -> str:
    clean = {k: _plain(v) for k, v in fields.items() if k not in OWN_KEYS}
    body = _json_ascii(clean).replace("\x7f", "\\u007f")
    return f",{body[1:]}" if clean else "}"


def _plain(value: object) -> str | int | float | bool | None:
    kind = type(value)
    if value is None or kind is bool:
        return value  # type: ignore[return-value]  # kind is one of these
    if kind is str:
        return clean_text(value)  # type: ignore[arg-type]  # kind is str
    if kind is int:
        return value if -(2**53) < value < 2**53 else hex(value)  # type: ignore[operator,arg-type,return-value]  # an int
    if kind is float:
        return value if value == value and abs(value) != float("inf") else None  # type: ignore[arg-type,return-value]  # noqa: PLR0124 - NaN is not itself
    return f"<{type.__dict__['__name__'].__get__(kind)}>"


def _cut_tail(fields: Fields, room: int) -> str:
    """As `_tail`, in `room` characters: the longest text is cut, then ids are left out."""
    kept: dict[str, str | int | float | bool | None] = {
        k: _plain(v[:_TEXT_CHARS] if type(v) is str and not _is_exact(k) else v)
        for k, v in fields.items()
        if k not in OWN_KEYS
    }
    full = dict(kept)
    while True:
        tail = _marked(kept)
        over = len(tail) - room
        if over <= 0:
            return tail
        texts = {
            k: len(_json_ascii(v)) for k, v in kept.items() if type(v) is str and not _is_exact(k)
        }
        longest = max(texts, key=texts.__getitem__, default="")
        if texts.get(longest, 0) <= len(_MORE) + 2:
            del kept[max(kept, key=lambda k: len(_json_ascii(kept[k])))]
            continue
        text = str(full[longest])
        now = str(kept[longest]).removesuffix(_MORE)
        # As many characters as the bytes that are too many, at a guess that never overshoots much.
        fewer = max(1, over * len(now) // (texts[longest] * 2))
        kept[longest] = text[: max(0, len(now) - fewer)] + _MORE


def _marked(kept: Fields) -> str:
    body = _json_ascii({**kept, "cut": True}).replace("\x7f", "\\u007f")
    return f",{body[1:]}"


def _is_exact(key: str) -> bool:
    return key.endswith(_EXACT)
