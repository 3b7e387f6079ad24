"""What a person does to the workers of this session: looks at them, stops one, begins one anew.

Built by `opening`; called by `shell.isolated.workers_answers`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flow_kernel.errors import IsolationUnavailable, UsageError
from flow_kernel.session.isolation.board import Board
from flow_kernel.session.isolation.worker_looks import Looks, WorkerView, find
from flow_kernel.workers.lifecycle import State
from flow_kernel.workers.live_fork import KIND_OF_WORKER
from flow_kernel.workers.pool import Pool

if TYPE_CHECKING:
    from flow_kernel.session.isolation.forking import Forks

_END_S: Final = 10.0
"""A process that gives gigabytes back, or that waits for a disk, ends late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """A worker that took the place of another one.

    Attributes:
        before: The one that was ended.
        now: The one that has its name.
    """

    before: WorkerView
    now: WorkerView


class Steering:
    """See the module.

    Args:
        pool: Of the session.
        board: Tells of its workers.
        forks: Copies of the session.
        note: Writes a `worker` record: worker id, state, reason, detail.
    """

    def __init__(
        self,
        pool: Pool,
        board: Board,
        *,
        forks: "Forks",
        note: Callable[[str, str, str, dict[str, object]], None],
    ) -> None:
        self._pool = pool
        self._board = board
        self._forks = forks
        self._note = note
        self._looks = Looks()

    def views(self) -> list[WorkerView]:
        """The workers of this session, as they are now."""
        return self._looks.at_page(self._board.page)

    def interrupt(self, word: str) -> bool:
        """Interrupt what a worker does, as Ctrl-C would; it lives on. Callable in any thread.

        Args:
            word: Its id or its name.

        Returns:
            False where it does nothing.

        Raises:
            NotFound: There is none.
        """
        copy = next((each for each in self._forks.workers if each.worker_id == word), None)
        worker = copy or self._pool.find(word)
        job = worker.job
        return job is not None and worker.interrupt(job)

    def stop(self, word: str) -> WorkerView:
        """End a worker at once, with all that it has started, and wait until it is gone.

        Args:
            word: Its id or its name.

        Returns:
            The worker as it was.

        Raises:
            NotFound: There is none.
            IsolationUnavailable: It does not end.
        """
        view = find(self.views(), word)
        self._end(view, "stopped")
        return view

    def restart(self, word: str) -> Restarted:
        """End a worker as `stop` does, and begin a new one of its name.

        Raises:
            NotFound: There is none.
            UsageError: It has no name that a new one could have.
            IsolationUnavailable: It does not end, or no other can be started.
        """
        view = find(self.views(), word)
        worker_id, name = view.line.worker_id, view.line.name
        if name is None:
            raise UsageError(
                f"{worker_id} has no name that a new one could have; nothing was done",
                hint=f"try: stop {worker_id}",
            )
        self._end(view, "restarted")
        now = self._pool.lease(name)
        self._note(now.worker_id, str(State.IDLE), "restarted", {"replaces": worker_id})
        return Restarted(before=view, now=find(self.views(), now.worker_id))

    def close(self) -> None:
        """The session ends: nothing is told any more."""
        self._board.close()

    def _end(self, view: WorkerView, reason: str) -> None:
        worker_id = view.line.worker_id
        if view.line.kind == KIND_OF_WORKER:
            has_job = True
            self._forks.end(worker_id)
        else:
            worker = self._pool.find(worker_id)
            has_job = worker.job is not None
            self._pool.end(worker)
        if not self._board.wait_until_gone(worker_id, _END_S):
            raise IsolationUnavailable(
                f"{worker_id} was killed and has not ended in {_END_S:.0f} s",
                hint="a process that waits for a device ends when the device answers",
            )
        if not has_job:  # else its cell notes what became of it
            self._note(worker_id, str(State.DEAD), reason, {})
