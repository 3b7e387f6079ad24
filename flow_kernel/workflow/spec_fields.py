"""Single values of a definition, read strictly, and the list of what is wrong with them (pure).

Used by `spec` and `spec_step`: each reader notes a problem with its place and goes on with a value
that makes no further ones, so that one pass finds all of them.
"""

import difflib
import keyword
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, NoReturn

from flow_kernel.errors import UsageError, WorkflowInvalid
from flow_kernel.workers.limits import shown

RESERVED: Final = ("_flow", "_error")
"""What the runner says of a step, and to a handler, stands under these names in variables files."""

MOST_CHARS_OF_A_NAME: Final = 200
MOST_CHARS_OF_A_TEXT: Final = 100_000
MOST_DEPTH: Final = 200
"""Deeper values cannot be written by all libraries for JSON."""

_MOST_SHOWN: Final = 1000
# A search costs up to some milliseconds: enough for a slip, too much for each line of a bad file.
_MOST_SEARCHES: Final = 20
_MOST_CANDIDATES: Final = 2000
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_STEP: Final = re.compile(r"steps\[([0-9]+)\]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
# Objects of a program may hold each other many times over.
_MOST_VALUES: Final = 10_000_000


class Problems:
    """What is wrong with a definition, in the order in which it was found."""

    __slots__ = ("_count", "_found", "_searches")

    def __init__(self) -> None:
        self._found: list[str] = []
        self._count = 0
        self._searches: dict[tuple[str, int, str], str] = {}

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, place: str, text: str) -> None:
        """Note that `text` is true of what stands at `place`."""
        self._count += 1
        if self._count <= _MOST_SHOWN:
            # Half a character can be in a definition, but not on a screen or in a log.
            said = f"{place}: {text}" if place else text
            self._found.append(said.encode("utf-8", "backslashreplace").decode())

    def nearest(self, word: str, known: Collection[str]) -> str:
        """`; did you mean "fetch"?` where a known name is near, else nothing."""
        # The same slip in each of many steps is looked up once.
        search = (word, len(known), next(iter(known), ""))
        if search not in self._searches:
            if len(self._searches) >= _MOST_SEARCHES:
                return ""
            self._searches[search] = did_you_mean(word, known)
        return self._searches[search]

    def refuse(self, source: str = "") -> NoReturn:
        """Raise what was found.

        Raises:
            WorkflowInvalid: Always.
        """
        what = "1 problem" if self._count == 1 else f"{self._count:,} problems"
        said = f"{what} in the workflow; nothing was run"
        more = self._count - len(self._found)
        last = [f"… and {more:,} more"] if more else []
        # Checks go over all steps one after the other; people read from top to bottom.
        self._found.sort(key=_step_number)
        raise WorkflowInvalid(
            f"{source}: {said}" if source else said, problems=(*self._found, *last)
        )


def _step_number(problem: str) -> int:
    match = _STEP.match(problem)
    return int(match[1]) if match else -1


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`; did you mean "fetch"?` where one of the names is near, else nothing."""
    size = len(word)
    if size > MOST_CHARS_OF_A_NAME:
        return ""
    folded = {name.lower(): name for name in known if abs(len(name) - size) <= 3}
    candidates = list(folded)[:_MOST_CANDIDATES]
    found = difflib.get_close_matches(word.lower(), candidates, n=1, cutoff=0.6)
    return f"; did you mean {shown(folded[found[0]])}?" if found else ""


def at(place: str, key: str) -> str:
    """The place of a key of the mapping at `place`."""
    # Text of a file may hold anything; a place is one line of a message.
    if not key.isidentifier():
        key = shown(key)
    return f"{place}.{key}" if place else key


def read_keys(
    value: object, place: str, known: Collection[str], problems: Problems
) -> dict[str, object]:
    """The known keys of a mapping; others and what is no mapping are problems."""
    if not isinstance(value, Mapping):
        problems.add(place, f"must be an object, not {shown(value)}")
        return {}
    read: dict[str, object] = {}
    for key, each in value.items():
        if not isinstance(key, str):
            problems.add(place, f"a key must be text, not {shown(key)}")
        elif key not in known:
            near = problems.nearest(key, known)
            problems.add(at(place, key), f"there is no such key{near}")
        else:
            read[key] = each
    return read


def read_name(value: object, place: str, problems: Problems) -> str:
    """A name for people: one line of text that is not blank."""
    if not isinstance(value, str):
        problems.add(place, f"must be text, not {shown(value)}")
        return ""
    wrong = wrong_with_name(value)
    if wrong:
        problems.add(place, wrong)
        return ""
    return value


def wrong_with_name(name: str) -> str:
    """Why this cannot be a name; empty when it can."""
    if not name.strip():
        return "is empty"
    if len(name) > MOST_CHARS_OF_A_NAME:
        return f"has {len(name):,} characters, and may have {MOST_CHARS_OF_A_NAME}"
    if _CONTROL.search(name):
        return f"{shown(name)} has control characters"
    return ""


def wrong_with_id(name: str) -> str:
    """Why this cannot be the id of a step; empty when it can."""
    wrong = wrong_with_name(name)
    if wrong:
        return wrong
    if name != name.strip():
        return f"{shown(name)} begins or ends with a blank"
    taken = next((char for char in "./" if char in name), "")
    if taken:
        return f'{shown(name)} has a "{taken}"; "step.key" names a key of an output'
    return f"{shown(name)} is taken by the runner" if name in RESERVED else ""


def wrong_with_variable(name: str) -> str:
    """Why scripts cannot have this as a variable; empty when they can."""
    if not name:
        return "a name is empty"
    if keyword.iskeyword(name):
        return f"{shown(name)} is a keyword of Python"
    if not name.isidentifier() or len(name) > MOST_CHARS_OF_A_NAME:
        return f"{shown(name)} cannot be the name of a variable"
    return f"{shown(name)} is taken by the runner" if name in RESERVED else ""


def read_text(value: object, place: str, problems: Problems) -> str:
    """Any text that can be written as UTF-8."""
    if not isinstance(value, str):
        problems.add(place, f"must be text, not {shown(value)}")
        return ""
    if len(value) > MOST_CHARS_OF_A_TEXT:
        problems.add(place, f"has {len(value):,} characters, and may have {MOST_CHARS_OF_A_TEXT:,}")
        return ""
    if _SURROGATE.search(value):
        problems.add(place, "has half a character (a lone surrogate)")
        return ""
    return value


def read_flag(value: object, place: str, problems: Problems) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        problems.add(place, f"must be true or false, not {shown(value)}")
        return False
    return value


def read_whole(value: object, place: str, problems: Problems, *, least: int, most: int) -> int:
    """A whole number within its bounds; the least one where it is none."""
    if isinstance(value, bool) or not isinstance(value, int):
        problems.add(place, f"must be a whole number, not {shown(value)}")
        return least
    if not least <= value <= most:
        problems.add(place, f"must be between {least} and {most:,}, not {shown(value)}")
        return least
    return value


def read_amount(
    value: object, place: str, problems: Problems, *, reader: Callable[[object], float]
) -> float:
    """What one of the readers of `workers.limits` makes of a value; 0 where it refuses it."""
    try:
        return reader(value)
    except UsageError as error:
        problems.add(place, str(error))
        return 0.0


def wrong_with_json(value: object, place: str) -> tuple[str, str]:
    """Where and why the value at `place` is none of JSON; the reason is empty where it is one.

    Goes down without recursion: a value may be deeper than the stack of the interpreter.
    """
    todo: list[tuple[str, object, int]] = [(place, value, 0)]
    seen = 0
    while todo:
        place, each, depth = todo.pop()
        seen += 1
        if seen > _MOST_VALUES:
            return place, f"has more than {_MOST_VALUES:,} values"
        if depth > MOST_DEPTH:
            return place, f"is nested deeper than {MOST_DEPTH} levels"
        if isinstance(each, Mapping):
            for key, inner in each.items():
                if not isinstance(key, str):
                    return place, f"a key must be text, not {shown(key)}"
                if _SURROGATE.search(key):
                    return place, "a key has half a character (a lone surrogate)"
                todo.append((at(place, key), inner, depth + 1))
        elif isinstance(each, list | tuple):
            todo.extend((f"{place}[{n}]", inner, depth + 1) for n, inner in enumerate(each))
        else:
            wrong = _wrong_with_scalar(each)
            if wrong:
                return place, wrong
    return place, ""


def _wrong_with_scalar(value: object) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return "has half a character (a lone surrogate)" if _SURROGATE.search(value) else ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value!r} is no number that JSON has"
    if isinstance(value, int):
        # What orjson writes; many other languages read less.
        return "" if -(2**63) <= value < 2**64 else "is a number beyond 64 bits; write it as text"
    return f"{shown(value)} is no value of JSON; write it as text"
