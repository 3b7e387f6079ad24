"""The graph of a workflow: an order in which it can run, circles, and what runs before what (pure).

Built by `spec` for the check before a run and by `checks` for the variables of one.

Steps are positions in the list in which they were written. Steps that wait for the same share one
tuple of positions and are a group here: a hundred layers of a hundred steps have a hundred groups
and not a million edges.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MOST_CIRCLES: Final = 50

_NEW: Final = 0
_OPEN: Final = 1
_DONE: Final = 2


@dataclass(slots=True)
class Graph:
    """What each step waits for.

    Attributes:
        before: For each step the positions that it waits for; equal ones are the same object.
        order: Positions, each after all that it waits for; a circle is broken somewhere.
        circles: Paths in which each step waits for the next and the last for the first.
    """

    before: list[tuple[int, ...]]
    order: Sequence[int]
    circles: list[list[int]]

    @classmethod
    def of(
        cls,
        needs: Sequence[tuple[str, ...]],
        index: Mapping[str, int],
        failures: Mapping[int, Sequence[int]],
    ) -> "Graph":
        """A graph of needs.

        Args:
            needs: For each step ids that are in the index.
            index: Positions by id.
            failures: For each handler the steps whose errors go to it: it runs after them.
        """
        shared: dict[tuple[str, ...], tuple[int, ...]] = {}
        before: list[tuple[int, ...]] = []
        for position, ids in enumerate(needs):
            found = shared.get(ids)
            if found is None:
                found = shared[ids] = tuple(map(index.__getitem__, ids))
            more = failures.get(position)
            before.append(tuple(dict.fromkeys((*found, *more))) if more else found)
        if _is_written_in_order(before):
            return cls(before=before, order=range(len(before)), circles=[])
        order, circles = _sorted(before)
        return cls(before=before, order=order, circles=circles)

    def levels(self) -> list[int]:
        """For each step the length of the longest way to it, from 1."""
        found = [1] * len(self.before)
        # By group, for the same reason as everywhere here.
        known: dict[int, int] = {}
        for position in self.order:
            group = self.before[position]
            level = known.get(id(group))
            if level is None:
                level = known[id(group)] = 1 + max(map(found.__getitem__, group), default=0)
            found[position] = level
        return found

    def walk(self) -> Iterator[tuple[int, int]]:
        """Each step in order, with the set of all that runs before it as the bits of a number.

        Bit n stands for the n-th step of `order`. A set is dropped after its last use, so a long
        chain holds two of them at a time.
        """
        flag = [0] * len(self.before)
        for place, position in enumerate(self.order):
            flag[position] = place
        number, uses = self._groups()
        sets: list[int | None] = [None] * len(uses)
        for position in self.order:
            own = number[position]
            found = sets[own]
            if found is None:
                found = 0
                for each in self.before[position]:
                    earlier = number[each]
                    # In a circle some are not known yet: the circle is told, and not these.
                    found |= (sets[earlier] or 0) | (1 << flag[each])
                    uses[earlier] -= 1
                    if not uses[earlier]:
                        sets[earlier] = None
                sets[own] = found
            yield position, found
            uses[own] -= 1
            if not uses[own]:
                sets[own] = None

    def _groups(self) -> tuple[list[int], list[int]]:
        """The number of the group of each step, and how often the set of each group is asked for.

        It is asked for by the steps of the group, and by groups that wait for one of them.
        """
        numbers: dict[int, int] = {}
        number = [numbers.setdefault(id(group), len(numbers)) for group in self.before]
        uses = [0] * len(numbers)
        seen = [False] * len(numbers)
        for own, group in zip(number, self.before, strict=True):
            uses[own] += 1
            if not seen[own]:
                seen[own] = True
                for each in group:
                    uses[number[each]] += 1
        return number, uses


def _is_written_in_order(before: Sequence[tuple[int, ...]]) -> bool:
    """True when each step stands after all that it waits for: no circle is possible then."""
    highest: dict[int, int] = {}
    for position, group in enumerate(before):
        most = highest.get(id(group))
        if most is None:
            most = highest[id(group)] = max(group, default=-1)
        if most >= position:
            return False
    return True


def _sorted(before: Sequence[tuple[int, ...]]) -> tuple[list[int], list[list[int]]]:
    """An order and the circles, by depth-first search with a stack of our own."""
    state = bytearray(len(before))
    order: list[int] = []
    circles: list[list[int]] = []
    for start in range(len(before)):
        if state[start] != _NEW:
            continue
        state[start] = _OPEN
        path = [start]
        todo = [iter(before[start])]
        while path:
            step = next(todo[-1], None)
            if step is None:
                done = path.pop()
                todo.pop()
                state[done] = _DONE
                order.append(done)
            elif state[step] == _NEW:
                state[step] = _OPEN
                path.append(step)
                todo.append(iter(before[step]))
            elif state[step] == _OPEN and len(circles) < MOST_CIRCLES:
                circle = path[path.index(step) :]
                # Told from the step that was written first, wherever the search began.
                first = circle.index(min(circle))
                circles.append(circle[first:] + circle[:first])
    return order, circles
