"""Printed text that looks like an event is shown so that nobody takes it for one (pure).

Called by `shell.taps.event_outlet` for each message of a stream while events are on.

A zero-width space goes between the colons of `MCP::` at the start of a line. Text is looked at as
it leaves, and what was sent stays sent: where a line came in pieces (`MC`, then `P::x`), the space
goes into the piece that completes the mark, so nothing is ever held back.

A line starts after any break that `str.splitlines` knows, and after blanks that a reader may strip.
In a line with control characters (a cursor may move, a colour may be taken out) every mark counts.
"""

import re
from itertools import pairwise
from typing import Final

from flow_kernel.records.agent_events import PREFIX
from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

ZERO_WIDTH: Final = "\u200b"
_BREAKS: Final = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_BREAK: Final = re.compile(f"[{_BREAKS}]")
_BREAK_KEPT: Final = re.compile(f"([{_BREAKS}])")
_BLANK: Final = re.compile("[\\s\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*")
_CONTROL: Final = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f]")
_BEFORE_SECOND_COLON: Final = len(PREFIX) - 1
_BEGUN: Final = tuple(PREFIX[:length] for length in range(1, len(PREFIX)))
_INSIDE: Final = "x"
_WILD: Final = "\x1b"

FRESH: Final = ("",)
"""The state of a stream at the start of a line."""
UNKNOWN: Final = ("", *_BEGUN)
"""The state of a stream of which nobody knows what was sent last."""

State = tuple[str, ...]
"""What the line that is being sent may be, in short: nothing, a begun mark, or text."""


class Escaper:
    """Follows the streams of a kernel as a reader sees them.

    A reader may look at one stream of a cell, at both of them as one, or at all cells as one; a
    mark that any of these readers would see is escaped.
    """

    __slots__ = ("_states",)

    _MOST: Final = 192

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], State] = {}

    def doubt(self, cell: str) -> None:
        """Text of `cell` may have been sent unseen."""
        for stream in ("", "stdout", "stderr"):
            self._states[cell, stream] = UNKNOWN

    def text(self, cell: str, stream: str, text: str) -> str:
        """What to send in place of `text`.

        Args:
            cell: Id of the request that it belongs to.
            stream: stdout or stderr.
            text: A piece, cut anywhere.
        """
        if not text:
            return text
        views = (("", ""), (cell, ""), (cell, stream))
        states = self._states
        befores = [states.get(view, FRESH) for view in views]
        for view, before in zip(views, befores, strict=True):
            states.pop(view, None)
            states[view] = after(before, text)
        while len(states) > self._MOST:
            del states[next(iter(states))]
        return escape(text, tuple({line for before in befores for line in before}))

    def line(self, cell: str) -> str:
        """What has to come before a line of our own on stdout of `cell`, so that it starts one.

        The line itself, newline included, is taken as sent.
        """
        views = (("", ""), (cell, ""), (cell, "stdout"))
        is_fresh = all(self._states.get(view, FRESH) == FRESH for view in views)
        for view in views:
            self._states[view] = FRESH
        return "" if is_fresh else "\n"


def escape(text: str, lines: State = FRESH) -> str:
    """`text` with every mark at the start of a line broken in two.

    Args:
        text: A piece of a stream.
        lines: What the line that it goes on with may be.
    """
    if PREFIX not in text and not any(PREFIX in line + text[:4] for line in lines):
        return text
    pieces = _BREAK_KEPT.split(text)
    first = pieces[0]
    spots = {spot - len(line) for line in lines for spot in _spots(line + first)}
    pieces[0] = _broken(first, sorted(spots))
    for number in range(2, len(pieces), 2):
        piece = pieces[number]
        if PREFIX in piece:
            pieces[number] = _broken(piece, _spots(piece))
    return "".join(pieces)


def after(lines: State, text: str) -> State:
    """The state of a stream after `text`."""
    if text[-1] in _BREAKS:
        return FRESH
    end = text.rfind("\n") + 1
    last = _BREAK.split(text[end:])[-1]
    if end or len(last) < len(text):
        return (_short(last),)
    return tuple({_short(line + text): None for line in lines})


def _spots(line: str) -> list[int]:
    """Where a line has to be broken: before the second colon of each mark that counts."""
    at = line.find(PREFIX)
    if at < 0:
        return []
    control = _CONTROL.search(line)
    first = _BLANK.match(line).end()  # type: ignore[union-attr]  # matches anything
    spots = []
    while at >= 0:
        if at == first or (control and at > control.start()):
            spots.append(at + _BEFORE_SECOND_COLON)
        at = line.find(PREFIX, at + 1)
    return spots


def _broken(text: str, spots: list[int]) -> str:
    edges = [0, *spots, len(text)]
    return ZERO_WIDTH.join(text[start:end] for start, end in pairwise(edges))


def _short(line: str) -> str:
    """As much of the start of a line as the rest of it can depend on."""
    if _CONTROL.search(line):
        return _WILD + next((begun for begun in reversed(_BEGUN) if line.endswith(begun)), "")
    begun = line[_BLANK.match(line).end() :]  # type: ignore[union-attr]  # matches anything
    if not begun:
        return line[:1]  # blanks
    return begun if begun in _BEGUN else _INSIDE
