"""The state of a worker, and who is told each of its changes.

Called by `worker.Worker` and by `live_fork.ForkWorker`, whose base it is.
"""

import threading
from collections.abc import Callable
from typing import Any

from flow_kernel.workers import lifecycle
from flow_kernel.workers.job import Job
from flow_kernel.workers.lifecycle import Event, State


class Turning:
    """See the module.

    Args:
        on_change: Told each state with the reason.
    """

    def __init__(self, on_change: Callable[[Any, str], None]) -> None:
        self.state: State = State.STARTING
        self.job: Job | None = None
        self.doing: str | None = None
        """What it is seen to do, or why it is blocked; None where nobody looks."""
        self._turning = threading.RLock()
        self._on_change = on_change

    def change(
        self, event: Event, reason: str = "", *, do: Callable[[], None] = lambda: None
    ) -> None:
        """Something happened to it; told in the order in which it happened.

        Args:
            event: What.
            reason: Why.
            do: What is to be done about it, before anybody is told.
        """
        with self._turning:
            self.state = lifecycle.step(self.state, event)
            do()
            self._on_change(self, reason)

    def pass_over(self, event: Event) -> None:
        """Something happened to it that nobody is told of."""
        with self._turning:
            self.state = lifecycle.step(self.state, event)

    def unseen(self) -> None:
        """Nobody has looked at what it does now."""
        self.doing = None

    def tell(self, job: Job, doing: str | None, *, is_blocked: bool) -> None:
        """Have people told what it is seen to do, as long as it has `job`.

        Args:
            job: Whose cell was watched.
            doing: A word.
            is_blocked: True where it does not go on.
        """
        event = Event.BLOCK if is_blocked else Event.PROGRESS
        with self._turning:
            if self.job is not job or self.state == State.DEAD:
                return
            self.doing = doing
            if lifecycle.can(self.state, event):
                self.change(event, doing or "")
            else:
                self._on_change(self, doing or "")
