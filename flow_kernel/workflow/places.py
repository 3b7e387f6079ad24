"""How many steps run at once: so many places, and no more memory than was free (pure).

Used by `runner`. A step that says how many processors it keeps busy takes so many places; one that
says how much memory it may take is promised that. A step that wants more than there is in all runs
alone: nobody waits for ever.
"""

import math
from typing import Final

from flow_kernel.workflow.model import Step

_ALL: Final = 0


class Places:
    """See the module.

    Args:
        most: Places in all.
        memory_bytes: To be promised in all; 0 for no bound.
    """

    def __init__(self, most: int, memory_bytes: int = _ALL) -> None:
        self._most = max(1, most)
        self._free = self._most
        self._memory_bytes = memory_bytes
        self._promised = 0
        self._taken: dict[str, int] = {}

    def take(self, step: Step) -> bool:
        """True, and the step has its places, where there are enough now."""
        wanted = min(self._most, max(1, math.ceil(step.resources.cpu)))
        if wanted > self._free or (self._taken and not self._fits(step.resources.memory_bytes)):
            return False
        self._free -= wanted
        self._promised += step.resources.memory_bytes
        self._taken[step.id] = wanted
        return True

    def give_back(self, step: Step) -> None:
        """It is over, or rests; harmless for one that has none."""
        taken = self._taken.pop(step.id, 0)
        if taken:
            self._free += taken
            self._promised -= step.resources.memory_bytes

    def _fits(self, memory_bytes: int) -> bool:
        return not self._memory_bytes or self._promised + memory_bytes <= self._memory_bytes
