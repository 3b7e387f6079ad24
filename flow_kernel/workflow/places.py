"""How many steps run at once: so many places (pure).

Used by `runner`. A step that says how many processors it keeps busy takes so many places. One that
wants more than there are in all takes all of them: nobody waits for ever.
"""

import math

from flow_kernel.workflow.model import Step


class Places:
    """See the module.

    Args:
        most: Places in all.
    """

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._free = self._most
        self._taken: dict[str, int] = {}

    def take(self, step: Step) -> bool:
        """True, and the step has its places, where there are enough now."""
        wanted = min(self._most, max(1, math.ceil(step.resources.cpu)))
        if wanted > self._free:
            return False
        self._free -= wanted
        self._taken[step.id] = wanted
        return True

    def give_back(self, step: Step) -> None:
        """It is over, or rests; harmless for one that has none."""
        self._free += self._taken.pop(step.id, 0)
