"""Which numbers of a session were seen, as runs (pure).

Called by `verdict` to find what is missing and by `prune` to note what it deletes.
"""

from array import array


class Runs:
    """A set of positive integers in 16 bytes a run; adding them in order is cheapest."""

    __slots__ = ("_firsts", "_lasts", "newest")

    def __init__(self) -> None:
        self._firsts = array("q")
        self._lasts = array("q")
        self.newest: int = 0

    def add(self, first: int, last: int) -> None:
        """Add the numbers from `first` to `last`; `newest` stays."""
        if self._lasts and first == self._lasts[-1] + 1:
            self._lasts[-1] = last
        else:
            self._firsts.append(first)
            self._lasts.append(last)

    def see(self, number: int) -> None:
        """Add one number, and remember the greatest."""
        self.add(number, number)
        self.newest = max(self.newest, number)

    def all(self) -> list[tuple[int, int]]:
        """First and last of each run, ascending; they neither overlap nor touch."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(zip(self._firsts, self._lasts, strict=True)):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(last, merged[-1][1])
            else:
                merged.append((first, last))
        return merged

    def holes(self) -> list[int]:
        """The number before each hole below `newest`; 0 where the first numbers are missing."""
        runs = self.all()
        ends = [0, *(last for _, last in runs)]
        starts = [first for first, _ in runs]
        return [
            after
            for after, first in zip(ends, starts, strict=False)
            if first > after + 1 and after < self.newest
        ]
