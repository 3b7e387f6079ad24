"""What a variable is, told in a bounded text: for programs that ask from outside.

Called by `apps.mcp.reading` through `user_expressions`, between two cells. Unlike the recorder it
asks the value itself, so what a class of the user's says of itself is run.
"""

import sys
from collections.abc import Mapping
from itertools import islice
from typing import Final

from flow_kernel.session.bounded_repr import bounded_repr

VIEWS = ("repr", "schema", "head")
_ITEMS = 10
_KEY_CHARS: Final = 200
_FRAMES: Final = (
    ("pandas", "DataFrame"),
    ("pandas", "Series"),
    ("polars", "DataFrame"),
    ("polars", "Series"),
)


class Told:
    """A text that is shown as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def look(value: object, view: str, chars: int) -> Told:
    """`value` as text of at most `chars` characters, its end left out.

    Args:
        value: Anything.
        view: repr; schema: kind, size and columns; head: the first rows or items.
        chars: Most characters.
    """
    if view == "schema":
        text = _schema(value)
    elif view == "head":
        text = _head(value, chars)
    else:
        text = bounded_repr(value, chars)
    if len(text) > chars:
        text = f"{text[:chars]}\n…[{len(text) - chars} characters or more left out]…"
    return Told(text)


def _schema(value: object) -> str:
    lines = [f"type: {type(value).__module__}.{type(value).__qualname__}"]
    for name in ("shape", "dtype", "nbytes"):
        told = getattr(value, name, None)
        if told is not None and not callable(told):
            lines.append(f"{name}: {told}")
    if isinstance(value, list | tuple | set | frozenset | dict | str | bytes):
        lines.append(f"len: {len(value)}")
    kinds = getattr(value, "dtypes", None)
    if kinds is not None and hasattr(kinds, "items"):
        lines += [f"  {name}: {kind}" for name, kind in islice(kinds.items(), 200)]
    elif isinstance(value, Mapping):
        lines += [
            f"  {bounded_repr(key, _KEY_CHARS)[:_KEY_CHARS]}: {type(item).__qualname__}"
            for key, item in islice(value.items(), 50)
        ]
    elif isinstance(value, list | tuple) and value:
        found = sorted({type(item).__qualname__ for item in islice(value, 1000)})
        lines.append(f"items: {', '.join(found)}")
    return "\n".join(lines)


def _head(value: object, chars: int) -> str:
    if _is_frame(value):
        return repr(value.head())  # type: ignore[attr-defined]  # frames and series have it
    if isinstance(value, Mapping):
        return bounded_repr(dict(islice(value.items(), _ITEMS)), chars)
    if isinstance(value, str | bytes | list | tuple):
        return bounded_repr(value[: 400 if isinstance(value, str | bytes) else _ITEMS], chars)
    try:
        return bounded_repr(value[:_ITEMS], chars)  # type: ignore[index]  # arrays; what cannot is caught
    except Exception:  # noqa: BLE001 - whatever a class of the user's raises there
        return bounded_repr(value, chars)


def _is_frame(value: object) -> bool:
    """True for a frame of a library itself: what a class of the user's calls `head` may be long."""
    kinds = (getattr(sys.modules.get(module), name, None) for module, name in _FRAMES)
    return any(type(value) is kind for kind in kinds)
