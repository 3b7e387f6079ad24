"""Workers that die while no cell runs there: recorded at once, told with the next cell.

Made by `opening`, which tells it each change of each worker. What ends in the middle of a cell is
that cell's to tell, and what was ended on purpose is nobody's.
"""

from collections.abc import Callable
from typing import Final

from flow_kernel.session.isolation.ends import idle_end
from flow_kernel.workers.lifecycle import State
from flow_kernel.workers.pool import ENDED
from flow_kernel.workers.worker import Worker

_WORKING: Final = (State.BUSY, State.BLOCKED)


class IdleDeaths:
    """Of the workers of one session; called in the threads of cells and in the relay's.

    Args:
        note: Writes a `worker` record: worker id, state, reason, detail.
        say: Tells the person, in the thread of a cell.
        forget: Told the id and the name of a worker whose variables are gone.
    """

    def __init__(
        self,
        *,
        note: Callable[[str, str, str, dict[str, object]], None],
        say: Callable[[str], None],
        forget: Callable[[str, str | None], None],
    ) -> None:
        self._note = note
        self._say = say
        self._forget = forget
        self._states: dict[str, State] = {}
        self._untold: dict[str, str] = {}

    def change(self, worker: Worker, reason: str) -> None:
        """A worker is in another state.

        Args:
            worker: Which.
            reason: `ENDED` where the pool has ended it.
        """
        if worker.state != State.DEAD:
            self._states[worker.worker_id] = worker.state
            if worker.state == State.BUSY and worker.name in self._untold:
                self._say(self._untold.pop(worker.name))
            return
        before = self._states.pop(worker.worker_id, None)
        if before in _WORKING or reason == ENDED or worker.died is None:
            return
        end = idle_end(worker.worker_id, worker.died)
        self._forget(worker.worker_id, worker.name)
        if worker.name is not None:
            self._untold[worker.name] = f"{end.error.message}; the cell has a new worker"
        self._note(worker.worker_id, str(State.DEAD), end.death.reason, end.detail)
