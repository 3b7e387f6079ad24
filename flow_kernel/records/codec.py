"""One record as one line of JSON with a checksum (pure).

Called by `journal` to write and by `scan` to read.

    {"v":1,"kind":…,"session":…,"seq":…,"plan_id":…,"task_id":…,"timestamp":…,"prev":…, … ,"crc":…}

`crc` is 8 hex of zlib.crc32 over the UTF-8 bytes before `,"crc":`. `prev` is the first 16 hex of
the SHA-256 of the session's previous line in the same file without its newline (16 zeros at first).
A record is never lost to its content: what JSON cannot carry is normalised, see `clean`.
"""

import hashlib
import math
import zlib
from collections.abc import Mapping
from typing import Final

import orjson

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

SCHEMA_VERSION: Final = 1
NO_PREVIOUS: Final = "0" * 16
_CRC_KEY: Final = b',"crc":"'
_TAIL_BYTES: Final = len(_CRC_KEY) + 8 + 2  # the key, eight hex, the closing quote and brace
_PREV_KEY: Final = b',"prev":"'
HEADER_NAMES: Final = frozenset(
    ("v", "kind", "session", "seq", "plan_id", "task_id", "timestamp", "prev", "crc")
)
_MAX_DEPTH: Final = 40
_dumps: Final = orjson.dumps
_loads: Final = orjson.loads
_crc32: Final = zlib.crc32
_sha256: Final = hashlib.sha256
_isfinite: Final = math.isfinite


class LineDamaged(ValueError):
    """The bytes are not a record as it was written; the message says why."""


def encode(record: Mapping[str, object]) -> bytes:
    """The line of `record`, without its newline.

    Args:
        record: The fields in their order, at least one and none of them `crc`; values of JSON, or
            anything that `clean` can turn into it.

    Returns:
        UTF-8 bytes that end with the checksum.
    """
    return _seal(_encode_body(record)[:-1])


def template(kind: str, session: str, plan_id: str, task_id: str) -> bytes:
    """The start of every record of one kind and task, for `fill`."""
    start = encode({"v": SCHEMA_VERSION, "kind": kind, "session": session})[:-_TAIL_BYTES]
    place = encode({"plan_id": plan_id, "task_id": task_id})[1:-_TAIL_BYTES]
    start, place = start.replace(b"%", b"%%"), place.replace(b"%", b"%%")
    return b'%b,"seq":%%d,%b,"timestamp":"%%b","prev":"%%b"%%b' % (start, place)


def fill(start: bytes, seq: int, timestamp: str, prev: str, fields: Mapping[str, object]) -> bytes:
    """The line that `encode` makes of the header and the fields, in half of its time.

    Args:
        start: What `template` made.
        seq: The number of the record.
        timestamp: ASCII.
        prev: 16 hex.
        fields: What follows the header, under names that are none of `HEADER_NAMES`.
    """
    body = _encode_body(fields)
    comma = b"," if len(body) > 2 else b""
    head = start % (seq, timestamp.encode(), prev.encode(), comma) + body[1:-1]
    return head + b',"crc":"%08x"}' % _crc32(head)


def relink(line: bytes, previous: str) -> bytes:
    """`line` with another `prev`, and the checksum that belongs to it.

    A journal learns only under the file's lock which line comes before.
    """
    # No text can hold these bytes before the header's own key: JSON escapes the quotes of a value.
    start = line.index(_PREV_KEY) + len(_PREV_KEY)
    end = start + len(NO_PREVIOUS)
    return _seal(b"%b%b%b" % (line[:start], previous.encode(), line[end:-_TAIL_BYTES]))


def decode(line: bytes) -> dict[str, object]:
    """The record of one line.

    Args:
        line: The bytes without their newline.

    Returns:
        The record, `crc` included.

    Raises:
        LineDamaged: The checksum is missing or differs, or the bytes are not a JSON object.
    """
    head = line[:-_TAIL_BYTES]
    tail = line[-_TAIL_BYTES:]
    if tail != b',"crc":"%08x"}' % _crc32(head):
        if tail.startswith(_CRC_KEY) and tail.endswith(b'"}'):
            raise LineDamaged("the checksum does not match the line")
        raise LineDamaged("no checksum at the end of the line")
    try:
        record = _loads(line)
    except ValueError as error:
        raise LineDamaged("the line is not JSON") from error
    if type(record) is not dict:
        raise LineDamaged("the line is not a JSON object")
    return record


def link(line: bytes) -> str:
    """What the session's next line in the same file carries as `prev`: 16 hex."""
    return _sha256(line).hexdigest()[:16]


def _encode_body(record: Mapping[str, object]) -> bytes:
    try:
        body = _dumps(record)
    except (TypeError, ValueError, RecursionError):
        return _dumps_cleaned(record)
    # From the right: a third faster than `in`.
    return body if body.rfind(b"\\u0000") < 0 else _dumps_cleaned(record)


def _seal(head: bytes) -> bytes:
    return head + b',"crc":"%08x"}' % _crc32(head)


def _dumps_cleaned(record: Mapping[str, object]) -> bytes:
    # A cell may leave little room on the stack: nesting is cut off ever earlier until it fits.
    for depth in (0, _MAX_DEPTH - 8):
        try:
            return _dumps(clean(dict(record), depth))
        except RecursionError:
            continue
    return _dumps(clean(dict(record), _MAX_DEPTH - 1))


def clean(value: object, depth: int = 0, inside: tuple[int, ...] = ()) -> object:
    """`value` with everything that JSON cannot carry put into a form that it can.

    Lone surrogates and NUL become backslash escapes, NaN and infinities null (as orjson writes them
    where nothing else needs cleaning), integers over 64 bit decimal text (hex above 4096 bit), keys
    text; unknown types become `<Name>`, a container inside itself or below 40 levels `…`.
    Only exact types are opened, so no code of a user's class runs.

    Args:
        value: Anything.
        depth: How deep it lies.
        inside: Ids of the containers that it lies in.
    """
    kind = type(value)
    if kind is str:
        return clean_text(value)  # type: ignore[arg-type]  # kind is str
    if value is None or kind is bool:
        return value
    if kind is int:
        return _clean_int(value)  # type: ignore[arg-type]  # kind is int
    if kind is float:
        return value if _isfinite(value) else None  # type: ignore[arg-type]  # kind is float
    if kind is dict or kind is list or kind is tuple:
        return (
            "…"
            if depth >= _MAX_DEPTH or id(value) in inside
            else _clean_items(value, depth, inside)
        )
    return f"<{type.__dict__['__name__'].__get__(kind)}>"


def _clean_items(value: object, depth: int, inside: tuple[int, ...]) -> object:
    depth, inside = depth + 1, (*inside, id(value))
    if type(value) is dict:
        return {
            clean_text(k) if type(k) is str else str(clean(k, depth, inside)): clean(
                v, depth, inside
            )
            for k, v in value.items()
        }
    return [clean(item, depth, inside) for item in value]  # type: ignore[attr-defined]  # a sequence


def clean_text(text: str) -> str:
    """`text` with lone surrogates and NUL as backslash escapes."""
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _clean_int(number: int) -> int | str:
    if -(2**63) <= number < 2**64:
        return number
    return str(number) if number.bit_length() <= 4096 else hex(number)
