"""What a question may say, and the hash that its answer is bound to (pure).

Called by `session.approvals`, by the magics and by the command line.

The approval hash is the SHA-256 of the canonical JSON (sorted keys, no blanks, UTF-8) of

    {"code_sha256": of the raw source, "message": …, "ordinal": in its cell, "payload": …}

What a person reads of the code and the payload before they answer is not what is hashed: it is
without secrets, and cut in its middle where it is long; it says so.
"""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Final

import orjson

from flow_kernel.errors import UsageError
from flow_kernel.records.codec import clean_text

ON_TIMEOUT: Final = ("reject", "skip", "approve")
SHOWN_CHARS: Final = 20_000
"""Kept of the code and of the payload, half from the head and half from the tail."""

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd]?)\Z", re.ASCII)
_ID: Final = re.compile(r"A-[0-9]{4,9}\Z")
_MAX_TIMEOUT_S: Final = 10 * 366 * 86400
_MIN_REMIND_S: Final = 1.0
_MAX_TEXT: Final = 5000
_JSON_ONLY: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def approval_hash(*, code_sha256: str | None, message: str, payload: object, ordinal: int) -> str:
    """What an answer is bound to: 64 hex.

    Raises:
        UsageError: The payload is not JSON.
    """
    bound = {"code_sha256": code_sha256, "message": message, "ordinal": ordinal, "payload": payload}
    return _sha256(_canonical(bound))


def payload_hash(payload: object) -> str | None:
    """SHA-256 of the payload as canonical JSON; None without one."""
    return None if payload is None else _sha256(_canonical(payload))


def source_hash(source: str) -> str:
    """SHA-256 of raw source, as the record of a cell has it."""
    return _sha256(source)


def checked_message(text: object) -> str:
    """A message that can be stored and shown.

    Raises:
        UsageError: It is no text, empty, or longer than 5,000 characters.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError("a question needs a message")
    if len(text) > _MAX_TEXT:
        raise UsageError(f"a message of {len(text)} characters is too long (at most {_MAX_TEXT})")
    return clean_text(text.strip())


def checked_terms(timeout_s: float | None, on_timeout: str) -> None:
    """Refuse a timeout that is no time, and an outcome that is none; raises UsageError."""
    if on_timeout not in ON_TIMEOUT:
        raise UsageError(
            f'"{str(on_timeout)[:40]}" is no outcome of a timeout',
            hint=f"one of {', '.join(ON_TIMEOUT)}",
        )
    # NaN compares with nothing.
    if timeout_s is not None and not 0 < timeout_s <= _MAX_TIMEOUT_S:
        raise UsageError("a timeout is longer than nothing and shorter than ten years")


def checked_reminder(remind_s: float | None) -> None:
    """Refuse an interval that would be a flood, or that is no time; raises UsageError."""
    if remind_s is not None and not _MIN_REMIND_S <= remind_s <= _MAX_TIMEOUT_S:
        raise UsageError("a reminder comes every second at most, and within ten years")


def checked_comment(text: str) -> str:
    """What a person adds to their answer, as it is stored."""
    return clean_text(text.strip())[:_MAX_TEXT]


def checked_id(text: str) -> str:
    """An id as it is stored; raises UsageError."""
    clean = text.strip().upper()
    if not _ID.match(clean):
        raise UsageError(f'"{text[:60]}" is no approval id', hint="approval ids look like A-0001")
    return clean


def duration_s(text: str) -> float:
    """`90`, `90s`, `10m`, `2h` or `3d` in seconds; raises UsageError."""
    match = _DURATION.match(text.strip().lower())
    if match is None:
        raise UsageError(f'"{text[:40]}" is no duration', hint="try 90s, 10m, 2h or 3d")
    return float(match[1]) * _UNITS_S[match[2]]


def shown_code(source: str, redact: Callable[[str], str]) -> str:
    """`source` as a person reads it before they answer."""
    return _cut(redact(clean_text(source)))


def shown_payload(payload: object, redact: Callable[[str], str]) -> str | None:
    """`payload` as a person reads it before they answer; None without one.

    Raises:
        UsageError: It is not JSON.
    """
    if payload is None:
        return None
    _canonical(payload)
    pretty = json.dumps(payload, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return _cut(redact(clean_text(pretty)))


def _cut(text: str) -> str:
    """The head and the tail of a long text, with a line between them that says so."""
    if len(text) <= SHOWN_CHARS:
        return text
    half = SHOWN_CHARS // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n… {left_out} characters are not shown here …\n{text[-half:]}"


def _canonical(value: object) -> str:
    try:
        orjson.dumps(value, option=_JSON_ONLY)  # refuses keys that are no text, and other types
        return json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the payload is not JSON ({error}); nothing was asked") from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
