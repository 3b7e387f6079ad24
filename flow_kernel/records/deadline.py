"""A deadline for short work of this thread, which stands while others have the processor (pure).

Called by `samples` and `summaries`: a change must not go unseen because the machine was busy.
"""

import time
from typing import Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_perf_ns: Final = time.perf_counter_ns
_cpu_ns: Final = getattr(time, "thread_time_ns", _perf_ns)  # not on every system
_PAUSED: Final = 20
"""Most time that passes, as a multiple of what the work may take."""


class Deadline:
    """See the module; making one takes 1 us.

    Args:
        budget_us: Microseconds of processor time that the work may take.

    Attributes:
        at_ns: Of `time.perf_counter_ns`; until then nobody needs to ask `is_over`.
    """

    __slots__ = ("_cpu_end_ns", "_last_ns", "at_ns")

    def __init__(self, budget_us: int) -> None:
        now_ns = _perf_ns()
        self._cpu_end_ns = _cpu_ns() + budget_us * 1000
        self._last_ns = now_ns + budget_us * 1000 * _PAUSED
        self.at_ns: int = now_ns + budget_us * 1000

    def is_over(self) -> bool:
        """True where the time was used up by this thread; else `at_ns` is later now."""
        now_ns, left_ns = _perf_ns(), self._cpu_end_ns - _cpu_ns()
        if left_ns <= 0 or now_ns >= self._last_ns:
            return True
        self.at_ns = min(now_ns + left_ns, self._last_ns)
        return False
