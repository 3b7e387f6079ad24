"""Values that a task's context can hold, as JSON (pure).

Called by `session.flow` before anything is written, and by `shell.worker.call_wire`.
"""

import json
from collections.abc import Mapping
from typing import Final

import orjson

from flow_kernel.errors import UsageError

_STRICT: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_SORT_KEYS
)
_PLAIN: Final = frozenset({str, int, bool, type(None)})
_MAX_KEY: Final = 500


def encoded(context: Mapping[str, object]) -> dict[str, bytes]:
    """Each value of `context` as JSON, in one form for equal values.

    Raises:
        UsageError: A key is no text, or a value is not JSON; the message names the key.
    """
    if not isinstance(context, Mapping):
        raise UsageError(f"a context is a dict, not {type(context).__name__}; nothing was written")
    return {_key(key): _value(key, value) for key, value in context.items()}


def _key(key: object) -> str:
    if type(key) is not str or not key or "\0" in key or len(key) > _MAX_KEY:
        raise UsageError(
            f"a context key is text of 1 to {_MAX_KEY} characters, not {str(key)[:60]!r};"
            " nothing was written"
        )
    try:
        key.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the context key {key!r} is not UTF-8; nothing was written") from None
    return key


def _value(key: str, value: object) -> bytes:
    try:
        return strict_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the value of context key {key!r} is not JSON ({error}); nothing was written"
        ) from None


def strict_json(value: object) -> bytes:
    """A value as JSON, in one form for equal values; nothing is turned into another value.

    Raises:
        TypeError: It is not JSON; ValueError and RecursionError mean the same.
    """
    data = orjson.dumps(value, option=_STRICT)
    if type(value) not in _PLAIN:
        # orjson writes null for NaN, and text for UUIDs and enumerations: other values.
        json.dumps(value, allow_nan=False)
    return data


def typed_pair(text: str) -> tuple[str, object]:
    """What a person means by `KEY=VALUE`; the value is JSON, or else text.

    Raises:
        UsageError: There is no equals sign, or nothing before it.
    """
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f'"{text[:60]}" is not KEY=VALUE')
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
