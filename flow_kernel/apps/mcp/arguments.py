"""Whether a call fits its tool: every argument known, of the right kind and size (pure).

Used by `serving` before a tool is run, so that an agent is told what is wrong and nothing was done.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from flow_kernel.apps.mcp.tools import ToolText
from flow_kernel.errors import UsageError
from flow_kernel.records.plain import one_line

CODE_CHARS: Final = 1_000_000
TEXT_CHARS: Final = 5_000
JSON_CHARS: Final = 100_000
"""Of what becomes part of a line: to split one takes a time that grows with its square."""
_WHOLE: Final = frozenset({"payload", "spec"})
_ITEMS: Final = 500
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def checked(tool: ToolText, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The arguments, those that are null left out.

    Raises:
        UsageError: One is unknown, missing, of the wrong kind or too large.
    """
    arguments = {key: value for key, value in (given or {}).items() if value is not None}
    known = ", ".join(tool.arguments)
    for key in arguments:
        if key not in tool.arguments:
            raise UsageError(f"there is no argument {key[:40]!r}", hint=f"known are: {known}")
    for key in tool.required:
        if key not in arguments:
            raise UsageError(f"{key} is missing")
    for key, value in arguments.items():
        _check(key, value, tool.arguments[key])
    return arguments


def _check(key: str, value: Any, schema: Mapping[str, Any]) -> None:
    kind = schema.get("type")
    if kind in (None, "object", "array"):
        _check_size(key, value)
    if kind is None:
        return
    is_kind = isinstance(value, _KINDS[kind]) and (kind == "boolean") == isinstance(value, bool)
    if not is_kind:
        raise UsageError(f"{key} is of type {kind}, not {one_line(repr(value), 60)}")
    if kind == "string":
        _check_text(key, value, schema)
    elif kind in ("integer", "number"):
        low, high = schema.get("minimum", 0), schema.get("maximum", 2**53)
        if not low <= value <= high:
            raise UsageError(f"{key} is between {low} and {high}, not {one_line(repr(value), 60)}")
    elif kind == "array":
        if len(value) > _ITEMS:
            raise UsageError(f"{key} has at most {_ITEMS} items")
        for item in value:
            _check(f"an item of {key}", item, schema.get("items", {}))


def _check_size(key: str, value: Any) -> None:
    most = CODE_CHARS if key in _WHOLE else JSON_CHARS
    if (chars := len(json.dumps(value))) > most:
        raise UsageError(f"{key} has {chars} characters as JSON, at most {most}")


def _check_text(key: str, value: str, schema: Mapping[str, Any]) -> None:
    words = schema.get("enum")
    if words and value not in words:
        raise UsageError(f"{key} is one of {', '.join(words)}, not {one_line(repr(value), 60)}")
    most = CODE_CHARS if key == "code" else TEXT_CHARS
    if len(value) > most:
        hint = "put it into a file and run that" if key == "code" else ""
        raise UsageError(f"{key} has {len(value)} characters, at most {most}", hint=hint)
