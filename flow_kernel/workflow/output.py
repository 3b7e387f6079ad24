"""What a step has said, as its output (pure).

Called by `attempt` with the whole stdout of a step that has ended with exit code 0.

    stdout                                    output
    the whole text is a JSON object           that object
    its last line that is not blank is one    that object; what was printed before is its own affair
    the whole text is another JSON value      {"result": value}
    anything else                             {"result": text}

Integers of more than 64 bits would come back as other numbers: in an object they are an error, and
anything else that holds one is the text that it is.

NaN and infinities are no JSON, though Python's `json` writes them: an output that is JSON but for
these is an error that names the place, for what reads it next would have to guess. So are bytes
that are not UTF-8.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from flow_kernel.errors import FlowError

_DEEPEST: Final = 200
_LONG: Final = re.compile(r"[0-9]{19}")
"""Fewer digits fit into 64 bits."""
_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 64) - 1


class OutputInvalid(FlowError, ValueError):
    """A step has ended well, and what it printed cannot be its output."""


def parsed(stdout: bytes) -> dict[str, Any]:
    """The output that `stdout` says.

    Raises:
        OutputInvalid: It is not UTF-8, holds NaN or an infinity, or is nested too deeply.
    """
    try:
        text = stdout.decode("utf-8")
    except UnicodeDecodeError as error:
        raise OutputInvalid(
            f"stdout is not UTF-8 (byte {error.start}: 0x{stdout[error.start]:02x})",
            hint="write text to stdout, and files for everything else",
        ) from None
    whole = text.strip()
    found = _value(whole)
    if isinstance(found, dict):
        return found
    last = whole.rpartition("\n")[2].strip()
    if last != whole and last.startswith("{"):
        said = _value(last)
        if isinstance(said, dict):
            return said
    return {"result": text if found is None and whole != "null" else found}


def missing(output: Mapping[str, object], mapping: Mapping[str, str]) -> list[tuple[str, str]]:
    """Variable and key of what the mapping wants and the output has not."""
    return [(variable, key) for variable, key in mapping.items() if key not in output]


def _value(text: str) -> Any:
    """The JSON value that a text is; None where it is none, or cannot be held."""
    if not text:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        _refuse_what_python_wrote(text)
        return None
    except RecursionError:
        raise _too_deep() from None
    if not _LONG.search(text):
        return value
    _refuse_what_python_wrote(text)
    return value if _is_exact(text) else None


def _refuse_what_python_wrote(text: str) -> None:
    """An object that is JSON but for its numbers is an error, not a text."""
    if text[0] != "{" or text[-1] != "}":
        return
    try:
        value = json.loads(text)
        place = _place_of_no_number(value, "", 0)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        return
    if place is not None:
        name, number = place
        if isinstance(number, int):
            raise OutputInvalid(
                f"the output is no JSON that others read: {name} has more than 64 bits",
                hint="write it as text",
            )
        raise OutputInvalid(
            f"the output is no JSON: {name or 'it'} is {number}", hint="write null in its place"
        )


def _is_exact(text: str) -> bool:
    """True where no integer of a JSON value, which is no object, has more than 64 bits."""
    try:
        return _place_of_no_number(json.loads(text), "", 0) is None
    except (OutputInvalid, ValueError, RecursionError):
        return False


def _place_of_no_number(value: object, path: str, depth: int) -> tuple[str, float] | None:
    if isinstance(value, float) and not math.isfinite(value):
        return path, value
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return path, value
    if depth > _DEEPEST:
        raise _too_deep()
    items: list[tuple[str, object]] = []
    if isinstance(value, dict):
        items = [(f"{path}.{key}" if path else str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        items = [(f"{path}[{at}]", each) for at, each in enumerate(value)]
    for name, each in items:
        found = _place_of_no_number(each, name, depth + 1)
        if found is not None:
            return found
    return None


def _too_deep() -> OutputInvalid:
    return OutputInvalid("the output is nested too deeply", hint="write it flatter, or to a file")
