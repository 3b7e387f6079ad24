"""The critical path of a run: the chain of steps that its length is due to (pure).

Called by `picture_sight` for pictures, and by reports.

It is the longest chain of times through what needs what: no run of these steps is over sooner, with
however many workers. A step without a time of its own (a question, a kept result) costs nothing and
is passed through.
"""

from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter
from typing import NamedTuple


class CriticalPath(NamedTuple):
    """A chain of steps.

    Attributes:
        steps: Their ids, in the order in which they ran; empty where nothing has run.
        elapsed_ms: The sum of their times.
    """

    steps: tuple[str, ...]
    elapsed_ms: float


class _Best(NamedTuple):
    elapsed_ms: float
    length: int
    before: str


def critical_path(
    needs: Mapping[str, Collection[str]], elapsed_ms: Mapping[str, float | None]
) -> CriticalPath:
    """The longest chain; of several the one with the most steps, so that none is left out.

    O(steps + needs).

    Args:
        needs: By step: the steps that it waits for; there is no cycle.
        elapsed_ms: By step; None or absent where it took no time.

    Raises:
        CycleError: There is one.
    """
    best: dict[str, _Best] = {}
    for name in TopologicalSorter(needs).static_order():
        chain = max(
            ((best[each].elapsed_ms, best[each].length, each) for each in needs.get(name, ())),
            key=lambda found: found[:2],  # of equal ones the first that was named
            default=(0.0, 0, ""),
        )
        best[name] = _Best(chain[0] + (elapsed_ms.get(name) or 0.0), chain[1] + 1, chain[2])
    end = max(best, key=lambda name: best[name][:2], default="")
    if not end or not best[end].elapsed_ms:
        return CriticalPath((), 0.0)
    total, steps = best[end].elapsed_ms, []
    while end:
        steps.append(end)
        end = best[end].before
    timed = [place for place, name in enumerate(steps) if elapsed_ms.get(name)]
    return CriticalPath(tuple(reversed(steps[timed[0] : timed[-1] + 1])), total)
