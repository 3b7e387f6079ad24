"""Secrets out of a change of state before it is written to a log (pure).

Called by `session.carrier`. The store keeps the value itself: it is what the task works with, and
its file is its owner's alone. A log is read, sent and shown.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from flow_kernel.session.deferred_redactor import SecretFilter

_FREE_TEXT: Final = frozenset(
    {
        "name",
        "description",
        "reason",
        "log",
        "tag",
        "value",
        "message",
        "comment",
        "code",
        "payload",
        "error",
    }
)
_BY_NAME: Final = "[REDACTED:name]"


def without_secrets(fields: Mapping[str, object], redactor: SecretFilter) -> dict[str, object]:
    """`fields` as a log may hold them.

    Args:
        fields: Of a record of a change.
        redactor: Finds the secrets; 3 us for each text.

    Returns:
        The fields; where one of them is not as it was, `redacted` says how many parts are not.
    """
    clean = {**fields}
    total = 0
    for name in _FREE_TEXT & fields.keys():
        clean[name], count = _cleaned(fields[name], redactor)
        total += count
    value = clean.get("value")
    if type(value) is str and redactor.name_is_secret(str(fields.get("key", ""))):
        clean["value"], total = _BY_NAME, total + 1
    # A log holds NUL as an escape, which is another value.
    if "value" in fields and b"\\u0000" in orjson.dumps(fields["value"]):
        total += 1
    return {**clean, "redacted": total} if total else clean


def _cleaned(value: object, redactor: SecretFilter) -> tuple[object, int]:
    if type(value) is str:
        return redactor.text(value)
    if isinstance(value, list):
        items = [_cleaned(item, redactor) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    if isinstance(value, dict):
        return _cleaned_dict(value, redactor)
    return value, 0


def _cleaned_dict(value: dict[str, object], redactor: SecretFilter) -> tuple[object, int]:
    clean: dict[str, object] = {}
    total = 0
    for key, item in value.items():
        if type(item) is str and redactor.name_is_secret(key):
            clean[key], count = _BY_NAME, 1
        else:
            clean[key], count = _cleaned(item, redactor)
        total += count
    return clean, total
