"""What a variable is, told in a bounded text: for programs that ask from outside.

Called by `apps.mcp.reading` through `user_expressions`, between two cells. Unlike the recorder it
asks the value itself, so what a class of the user's says of itself is run.
"""

from collections.abc import Mapping
from itertools import islice

VIEWS = ("repr", "schema", "head")
_ITEMS = 10


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
        text = _head(value)
    else:
        text = value[: chars + 1].__repr__() if type(value) in (str, bytes) else repr(value)  # type: ignore[index]  # a text
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
            f"  {key!r}: {type(item).__qualname__}" for key, item in islice(value.items(), 50)
        ]
    elif isinstance(value, list | tuple) and value:
        found = sorted({type(item).__qualname__ for item in islice(value, 1000)})
        lines.append(f"items: {', '.join(found)}")
    return "\n".join(lines)


def _head(value: object) -> str:
    first = getattr(value, "head", None)
    if callable(first):
        return repr(first())
    if isinstance(value, Mapping):
        return repr(dict(islice(value.items(), _ITEMS)))
    if isinstance(value, str | bytes | list | tuple):
        return repr(value[: 400 if isinstance(value, str | bytes) else _ITEMS])
    try:
        return repr(value[:_ITEMS])  # type: ignore[index]  # arrays; what cannot is caught
    except Exception:  # noqa: BLE001 - whatever a class of the user's raises there
        return repr(value)
