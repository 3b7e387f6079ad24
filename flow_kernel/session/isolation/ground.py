"""What the isolated cells of a session need of the shell.

Made by `shell.opening`; called by `opening` and, through the pool, by the relay's thread.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from flow_kernel.workers.job import Outlet
from flow_kernel.workers.pool import Pool


class Ground(Outlet, Protocol):
    """What the shell brings: where workers' messages go, and what they are signed with."""

    pool: Pool | None
    """Set once there are workers."""
    marks: Any
    """Of the shell; says how the cell of the present request is to run."""

    @property
    def key(self) -> bytes:
        """Of HMAC."""

    @property
    def session_id(self) -> str:
        """Of Jupyter, in the header of each message."""

    def say(self, text: str) -> None:
        """Show a sentence to the person now, above what the cell says."""

    def blocked(self, block: Mapping[str, object]) -> None:
        """A worker does not go on; the person and the log were told.

        Args:
            block: As programs are told: `job_id`, `reason`, `stack`, ….
        """

    def set_apart(self, worker_id: str, key: str | None) -> None:
        """Nobody waits for the cell of a worker: its error is shown as it comes.

        Args:
            worker_id: Which.
            key: What its cell is recorded under; None where it has ended.
        """

    def let_go(self) -> None:
        """Show the error that was held back, if there is one."""

    def drop(self) -> None:
        """Do not show it: the session raises it."""
