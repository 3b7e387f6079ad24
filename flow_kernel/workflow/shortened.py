"""Values of a run in a few words, for people (pure).

Used by everything that shows what came out of a run.
"""

import json
from collections.abc import Mapping
from typing import Final

_CHARS: Final = 100


def lines_of(values: Mapping[str, object]) -> list[str]:
    """`name: value`, one a line, each value as JSON that is cut where it is long."""
    return [f"{name}: {value_of(value)}" for name, value in values.items()]


def value_of(value: object) -> str:
    """A value as JSON, cut where it is long, with how much there is of it."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= _CHARS:
        return text
    size = f"{len(text):,} characters"
    if isinstance(value, list | dict):
        size = f"{len(value):,} {'items' if isinstance(value, list) else 'keys'}, {size}"
    return f"{text[: _CHARS - 20]}… ({size})"
