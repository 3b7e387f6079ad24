"""Which steps are over before which others begin, whatever the timing (pure).

Used by `mapping`: a step sees what comes from above it in the graph and nothing else, so that what
it is given does not depend on which of two independent steps was faster.

Steps stand in one order in which each comes after all that are above it. Those above a step are
nearly always the first so many of that order; only what is beyond these is kept bit by bit. So
100,000 steps in a row, or in layers that need one another, take a few bytes each.
"""

from graphlib import TopologicalSorter
from typing import NamedTuple

from flow_kernel.workflow.model import Workflow


class _Above(NamedTuple):
    """A set of steps by their places.

    Attributes:
        first: All of the first so many are in it.
        more: A bit for each of the places after these.
    """

    first: int
    more: int


_NOTHING = _Above(0, 0)


class Upstream:
    """The steps above each step of a workflow that has no cycle."""

    def __init__(self, workflow: Workflow) -> None:
        needs: dict[str, tuple[str, ...]] = {step.id: step.needs for step in workflow.steps}
        for step in workflow.steps:
            if step.handler:
                needs[step.handler] = (*needs[step.handler], step.id)
        self._place: dict[str, int] = {}
        self._names: list[str] = []
        self._above: dict[str, _Above] = {}
        shared: dict[tuple[str, ...], _Above] = {}
        """Steps of one order need the same ones."""
        for name in TopologicalSorter(needs).static_order():
            key = needs[name]
            above = shared.get(key)
            if above is None:
                above = shared[key] = self._union(key)
            self._place[name] = len(self._names)
            self._names.append(name)
            self._above[name] = above

    def above(self, steps: int, *, of: str) -> list[str]:
        """Those of a set of steps that are over before `of` begins; the others cost nothing."""
        above = self._above[of]
        found = steps & ((1 << above.first) - 1 | above.more << above.first)
        # As a text: to find the next digit takes no time, to shift a large number does.
        digits, names, at = bin(found)[:1:-1], [], -1
        while (at := digits.find("1", at + 1)) >= 0:
            names.append(self._names[at])
        return names

    def bit(self, step_id: str) -> int:
        """What stands for a step in a set of them."""
        return 1 << self._place[step_id]

    def has_all(self, steps: int, *, of: str) -> bool:
        """True where all of a set of steps are over before `of` begins."""
        above = self._above[of]
        return not (steps >> above.first) & ~above.more

    def rank(self, step_id: str) -> int:
        """How many are above it: of two steps in a row, the later one has more."""
        above = self._above[step_id]
        return above.first + above.more.bit_count()

    def _union(self, names: tuple[str, ...]) -> _Above:
        """`names` and all that is above them."""
        if not names:
            return _NOTHING
        parts = [self._above[name] for name in names]
        first = max(part.first for part in parts)
        more = 0
        for part in {*parts}:
            more |= part.more >> (first - part.first)
        for name in names:
            place = self._place[name]
            if place >= first:
                more |= 1 << (place - first)
        run = (~more & (more + 1)).bit_length() - 1  # how many are in it from there on
        return _Above(first + run, more >> run)
