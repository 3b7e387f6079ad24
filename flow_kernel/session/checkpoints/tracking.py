"""What runs in a session, collected for the time machine: code, and what is known beside it.

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


class Ended(NamedTuple):
    """A cell that has ended, as the shell knows it.

    Attributes:
        source: As it was written.
        is_cell: False for what a client ran without asking for a cell.
        has_failed: True when it ended with an error.
        added: Names that it bound and that were not bound before; None when that is not known.
        removed: Names that it removed.
        has_bound: True when a name was bound anew.
        imports: Modules that it brought in.
    """

    source: str
    is_cell: bool = False
    has_failed: bool = False
    added: Sequence[str] | None = None
    removed: Sequence[str] = ()
    has_bound: bool = True
    imports: Sequence[str] = ()


class Ran(NamedTuple):
    """What ran since the last look.

    Attributes:
        ended: The cell.
        codes: What the shell compiled for it, and before it for others.
        doubts: Why that is not all.
    """

    ended: Ended
    codes: Sequence[CodeType]
    doubts: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """True when it was nothing but our magics, which change no variable by themselves."""
        return not self.doubts and is_ours(self.ended.source)


class Tracking:
    """Sees what runs, once it is switched on; one attribute is all that it costs before.

    Attributes:
        is_on: True while it has to be told.
    """

    __slots__ = ("_after", "_before", "_codes", "_doubts", "_source", "is_on")

    def __init__(self) -> None:
        self.is_on: bool = False
        self._codes: list[CodeType] = []
        self._doubts: set[str] = set()
        self._source: str | None = None
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
            self._doubts = {"began before anybody looked"} if in_cell else set()
            self._source = "" if in_cell else None

    def note(self, code: CodeType) -> None:
        """Code was compiled by the shell."""
        if len(self._codes) < _MOST_CODES:
            self._codes.append(code)
        else:
            self._doubts.add("ran too much code")

    def doubt(self, why: str) -> None:
        """Something runs that the shell does not compile."""
        self._doubts.add(why)

    def begin_cell(self, source: str) -> None:
        """A cell is about to run; what runs in it is part of it."""
        self._source = source
        self._before()

    def is_running(self) -> bool:
        """True while a cell runs."""
        return self._source is not None

    def is_under_way(self) -> bool:
        """True while a cell runs that may have changed variables already."""
        return self._source is not None and not is_ours(self._source)

    def end_cell(self, ended: Ended) -> None:
        """A cell has ended."""
        codes, doubts, self._source = self._codes, self._doubts, None
        if ended.added is None:
            doubts.add("was not recorded")
        if ended.has_failed:
            doubts.add("failed")
        self._codes, self._doubts = [], set()
        self._after(Ran(ended, codes, tuple(doubts)))


def is_ours(source: str) -> bool:
    """True for a cell made of our magics alone, without values of the user's in their words."""
    lines = [line for line in source.splitlines() if line.strip()]
    return bool(lines) and all(_OUR_LINE.fullmatch(line) for line in lines)
