"""What the cells since the last capture may have changed: collected while they run.

Made by `session.assembly`; told by `shell.attach` of each cell, where anything is captured at all.
"""

import re
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Final, NamedTuple

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_OUR_LINE: Final = re.compile(r"\s*%(?:checkpoint|rollback|task|flow)\b[^{}$]*;?\s*(?:#.*)?")
_MOST_CODES: Final = 5_000


class Ran(NamedTuple):
    """What ran since the last look.

    Attributes:
        codes: What the shell compiled; complete, but for cells made only of our magics.
        is_ours: True when it was nothing but our magics, which change no variable by themselves.
        is_known: False when something ran that nobody saw being compiled.
        is_cell: False for what a client ran without asking for a cell.
        has_bound: True when a name was bound or removed, as far as the record of the cell knows.
    """

    codes: Sequence[CodeType]
    is_ours: bool
    is_known: bool
    is_cell: bool
    has_bound: bool


class Tracking:
    """Sees what runs, once it is switched on; one attribute is all that it costs before.

    Attributes:
        is_on: True while it has to be told.
    """

    __slots__ = ("_after", "_before", "_codes", "_is_known", "is_on")

    def __init__(self) -> None:
        self.is_on: bool = False
        self._codes: list[CodeType] = []
        self._is_known = True
        self._before: Callable[[], object] = lambda: None
        self._after: Callable[[Ran], object] = lambda ran: None

    def switch_on(
        self, *, before: Callable[[], object], after: Callable[[Ran], object], in_cell: bool
    ) -> None:
        """Begin to look.

        Args:
            before: Called before a cell runs.
            after: Called after it with what ran.
            in_cell: True when a cell runs already, whose code was compiled before.
        """
        self._before, self._after = before, after
        if not self.is_on:
            self.is_on = True
            self._is_known = not in_cell

    def note(self, code: CodeType) -> None:
        """Code was compiled by the shell."""
        if len(self._codes) < _MOST_CODES:
            self._codes.append(code)
        else:
            self._is_known = False

    def note_unseen(self) -> None:
        """Code of the user's runs that the shell does not compile."""
        self._is_known = False

    def begin_cell(self) -> None:
        """A cell is about to run."""
        self._before()

    def end_cell(self, source: str, *, is_cell: bool, has_bound: bool) -> None:
        """A cell has ended.

        Args:
            source: Of the cell.
            is_cell: False for what a client ran without asking for a cell.
            has_bound: False when its record says that no name was bound or removed.
        """
        codes, is_known = self._codes, self._is_known
        self._codes, self._is_known = [], True
        self._after(Ran(codes, is_ours(source), is_known, is_cell, has_bound))


def is_ours(source: str) -> bool:
    """True for a cell made of our magics alone, without values of the user's in their words."""
    lines = [line for line in source.splitlines() if line.strip()]
    return bool(lines) and all(_OUR_LINE.fullmatch(line) for line in lines)
