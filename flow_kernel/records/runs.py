"""Which numbers of a session were seen, as runs (pure).

Called by `verdict` to find what is missing and by `prune` to note what it deletes.
"""

from array import array
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[int]:
    """True for what a journal gives out as `seq`."""
    return type(value) is int and 0 < value < 1 << 63


class Runs:
    """A set of positive integers in 16 bytes a run; adding them in order is cheapest."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self) -> None:
        self._firsts = array("q")
        self._lasts = array("q")

    def add(self, number: int) -> None:
        """Add one number."""
        lasts = self._lasts
        if lasts and lasts[-1] == number - 1:
            lasts[-1] = number
        else:
            self._firsts.append(number)
            lasts.append(number)

    def add_run(self, first: int, last: int) -> None:
        """Add the numbers from `first` to `last`."""
        self._firsts.append(first)
        self._lasts.append(last)

    def newest(self) -> int:
        """The greatest number; 0 when there is none."""
        return max(self._lasts, default=0)

    def all(self) -> list[tuple[int, int]]:
        """First and last of each run, ascending; they neither overlap nor touch."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(zip(self._firsts, self._lasts, strict=True)):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(last, merged[-1][1])
            else:
                merged.append((first, last))
        return merged

    def holes(self, up_to: int) -> list[int]:
        """The number before each hole that begins below `up_to`; 0 where the first are missing."""
        runs = self.all()
        ends = [0, *(last for _, last in runs)]
        return [
            after
            for after, (first, _) in zip(ends, runs, strict=False)
            if first > after + 1 and after < up_to
        ]
