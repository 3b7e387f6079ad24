"""What a step has said, as its output (pure).

Called by `attempt` with the whole stdout of a step that has ended with exit code 0.

    stdout                                    output
    the whole text is a JSON object           that object
    its last line that is not blank is one    that object; what was printed before is its own affair
    the whole text is another JSON value      {"result": value}
    anything else                             {"result": text}

NaN and infinities are no JSON, though Python's `json` writes them: an output that is JSON but for
these is an error that names the place, for what reads it next would have to guess. So are bytes
that are not UTF-8.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import orjson

from flow_kernel.errors import FlowError

_DEEPEST: Final = 200


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
    """The JSON value that a text is; None where it is none."""
    if not text:
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _if_python_wrote_it(text)
    except RecursionError:
        raise _too_deep() from None
    return value


def _if_python_wrote_it(text: str) -> None:
    """An object that is JSON but for what Python adds to it is an error, not a text."""
    if text[0] != "{" or text[-1] != "}":
        return
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        return
    place = _place_of_no_number(value, "", 0)
    if place is not None:
        name, number = place
        raise OutputInvalid(
            f"the output is no JSON: {name or 'it'} is {number}", hint="write null in its place"
        )


def _place_of_no_number(value: object, path: str, depth: int) -> tuple[str, float] | None:
    if isinstance(value, float) and not math.isfinite(value):
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
