"""Tells agents which workers begin and end, each once.

Made by `opening`, which tells it each change of each worker and each `worker` record.
"""

from flow_kernel.session.announcer import Emit
from flow_kernel.session.isolation.background import BackgroundJob
from flow_kernel.workers.lifecycle import BEGUN, State
from flow_kernel.workers.pool import ENDED
from flow_kernel.workers.worker import Worker


class WorkerEvents:
    """Of the workers of one session; called in the threads of cells and in the relay's.

    Args:
        emit: Tells of an event.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._alive: set[str] = set()

    def change(self, worker: Worker, reason: str) -> None:
        """A worker is in another state.

        Args:
            worker: Which.
            reason: `ENDED` where the pool has ended it; else a record will say what it died of.
        """
        worker_id = worker.worker_id
        if worker.state in BEGUN and worker_id not in self._alive:
            self._alive.add(worker_id)
            self._emit("worker_started", worker_id=worker_id, kind=worker.kind)
        elif worker.state == State.DEAD and reason == ENDED:
            self.stopped(worker_id, ENDED)

    def stopped(self, worker_id: str, reason: str) -> None:
        """A worker is gone, and it is known why."""
        if worker_id in self._alive:
            self._alive.discard(worker_id)
            self._emit("worker_stopped", worker_id=worker_id, reason=reason)


def tell_job(emit: Emit, job: BackgroundJob) -> None:
    """A cell that nobody waits for has ended.

    Args:
        emit: Tells of an event.
        job: That cell.
    """
    task_id, job_id = job.task_id, job.job_id
    if job.ename:
        emit("task_error", task_id=task_id, job_id=job_id, reason=job.ename)
    else:
        elapsed_ms = round(job.elapsed_s * 1e3, 1)
        emit("task_complete", task_id=task_id, job_id=job_id, elapsed_ms=elapsed_ms)
