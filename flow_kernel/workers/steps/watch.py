"""Has a step looked at once it has run for a tenth of a second, and when its time is up.

Made by `host` and by `spawned` for each step. Most are over before that: what looks at them, see
`looks`, is loaded with the first one that is not.
"""

import asyncio
from collections.abc import Callable
from mmap import mmap
from typing import TYPE_CHECKING, Final

from flow_kernel.workers.steps.running import Running

if TYPE_CHECKING:
    from flow_kernel.workers.glimpses import Glimpses
    from flow_kernel.workers.steps.looks import Looks

_FIRST_S: Final = 0.1


class Watch:
    """That of one step.

    Args:
        running: It.
        ask: Asks for its pid, with which `begin` is called; later for looks into its code.
        memory: Where it shows itself.
        slot: Its place there; below 0 for none.
        tag: Of its processes.
    """

    def __init__(
        self, running: Running, *, ask: Callable[[str], object], memory: mmap | None, slot: int,
        tag: str,
    ) -> None:  # fmt: skip
        self._running = running
        self._ask = ask
        self._memory = memory
        self._slot = slot
        self._tag = tag
        self._glimpses: Glimpses | None = None
        self._made: Looks | None = None
        loop = asyncio.get_running_loop()
        self._began_s = loop.time()
        self._timer = loop.call_later(_FIRST_S, ask, "where")
        running.on_timeout = self._time_is_up

    def begin(self, pid: int) -> None:
        """It is this process."""
        self._looks().begin(pid)

    def close(self) -> None:
        """It has ended."""
        self._timer.cancel()
        if self._made is not None:
            self._made.close()

    def _time_is_up(self) -> None:
        self._looks().end_in_time()

    def _looks(self) -> "Looks":
        if self._made is None:
            from flow_kernel.workers.steps.looks import Looks, shown_in

            self._made = Looks(
                self._running,
                self._began_s,
                ask=self._ask,
                glimpses=self._glimpses or shown_in(self._memory, self._slot),
                tag=self._tag,
            )
        return self._made
