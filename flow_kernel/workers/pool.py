"""The workers of one session: which there are, and a spare that is ready before it is wanted.

Built by `session.isolation`. How they are started: see `starts`.
"""

import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import zmq

from flow_kernel.errors import IsolationUnavailable, NotFound
from flow_kernel.settings import PoolSettings
from flow_kernel.workers import starter, sweep
from flow_kernel.workers.channels import Channels, connect
from flow_kernel.workers.here import directory
from flow_kernel.workers.job import Outlet
from flow_kernel.workers.lifecycle import State
from flow_kernel.workers.manager import Order
from flow_kernel.workers.nursery import Nursery
from flow_kernel.workers.relay import Relay
from flow_kernel.workers.starts import Starts
from flow_kernel.workers.turnstile import Turnstile
from flow_kernel.workers.worker import Worker

if TYPE_CHECKING:
    from flow_kernel.workers.processes import HeardProcess

_LONGEST_PATH: Final = 80
"""Of a socket the system takes 107 bytes."""
_CLOSE_S: Final = 10.0
_END_S: Final = 3.0
_PROMISED: Final = 0.8
"""Of the memory that is available when the first cell asks for some."""
ENDED: Final = "ended"
"""The reason of the end of a worker that the pool has ended itself."""
_STRIPPED: Final = ("USE_SUBPROCESS_WORKER", "JPY_PARENT_PID", "JPY_INTERRUPT_EVENT")


class Pool:
    """See the module.

    Args:
        run_dir: Where sockets go if its path is short enough.
        key: That messages are signed with; the session's own, so that they can be passed on.
        session_id: That messages bear. The session's own as well: JupyterLab takes a message of
            another one for that of a kernel which was restarted.
        env: The environment that workers begin with.
        outlet: Takes what workers say.
        on_change: Told each state of each worker with the reason, and when it gets its name.
        settings: How they are made.
        learned: Keeps what workers had to import, for this environment; None to keep nothing.
    """

    def __init__(  # noqa: PLR0913 - the session passes them once, each by name
        self,
        run_dir: Path,
        *,
        key: bytes,
        session_id: str,
        env: Callable[[], Mapping[str, str]],
        outlet: Outlet,
        on_change: Callable[[Worker, str], None],
        settings: PoolSettings,
        learned: Path | None = None,
    ) -> None:
        self._tag = uuid.uuid4().hex
        self._directory = _private(run_dir)
        self._key = key
        self._session_id = session_id
        self._env = env
        self._outlet = outlet
        self._on_change = on_change
        self.settings: PoolSettings = settings
        self._context = zmq.Context()
        self._relay = Relay(outlet.backlog)
        self._nursery = Nursery(self._directory, self._tag, learned)
        self._lock = threading.Lock()
        self._leasing: dict[str, threading.Lock] = {}
        """By name."""
        self._workers: dict[str, Worker] = {}
        self._processes: dict[str, HeardProcess] = {}
        self._tags: dict[str, str] = {}
        self._begun: dict[str, int] = {}
        self._spares: list[Future[Worker]] = []
        self._is_closed = False
        self._ended: set[str] = set()
        self.turnstile: Turnstile = Turnstile(
            most=settings.max_workers, memory_bytes=self._budget, named=self._names,
            cores=_cores, free_bytes=_free_bytes,
        )  # fmt: skip
        """Where cells wait for a worker."""
        self._budget_bytes = settings.memory_budget_bytes
        self._starts = Starts(
            order=self._order,
            meet=lambda order, started: connect(self._context, started, order),
            join=self._joined,
            nursery=self._nursery,
            settings=settings,
        )

    @property
    def workers(self) -> list[Worker]:
        """Those that live, oldest first."""
        return [worker for worker in [*self._workers.values()] if worker.lives]

    def find(self, name: str) -> Worker:
        """The one of an id or a name.

        Raises:
            NotFound: There is none.
        """
        workers = self.workers
        found = [worker for worker in workers if worker.worker_id == name]
        found = found or [worker for worker in workers if worker.name == name]
        if not found:
            raise NotFound(f"there is no worker {name[:40]!r}")
        return found[0]

    def has(self, name: str | None) -> bool:
        """True where a worker of that name lives."""
        return name is not None and self._of_name(name) is not None

    def lease(self, name: str | None) -> Worker:
        """The worker of a name, begun if there is none; for no name one that nobody had before.

        Raises:
            IsolationUnavailable: None can be started.
        """
        if name is None:
            worker = self._ready_one()
        else:
            with self._lock:
                leasing = self._leasing.setdefault(name, threading.Lock())
            with leasing:  # two cells that ask for one name at once get the same
                if (found := self._of_name(name)) is not None:
                    return found
                worker = self._ready_one()
                worker.name = name
                worker.restarts = self._begun.get(name, 0)
                self._begun[name] = worker.restarts + 1
        self._on_change(worker, "leased")
        if self._spares:  # to start one takes as long as a quick cell, which has this time first
            self._starts.post_later(self.keep_spares)
        else:
            self.keep_spares()
        return worker

    def _names(self) -> set[str]:
        named = [worker for worker in [*self._workers.values()] if worker.name is not None]
        if len(named) >= self.settings.max_workers:  # else nobody waits for one that has just died
            named = [worker for worker in named if worker.lives]
        return {worker.name for worker in named if worker.name is not None}

    def _budget(self) -> int:
        """What all cells together may be promised; without a setting, most of what there was."""
        if not self._budget_bytes:
            self._budget_bytes = int(psutil.virtual_memory().available * _PROMISED)
        return self._budget_bytes

    def _of_name(self, name: str) -> Worker | None:
        named = [worker for worker in [*self._workers.values()] if worker.name == name]
        return next((worker for worker in named if worker.lives), None)

    def _ready_one(self) -> Worker:
        """The first spare that lives; the last one to be tried is begun for that."""
        until_s = time.monotonic() + self.settings.start_timeout_s
        while True:
            with self._lock:
                is_last = not self._spares
                spare = self._begin() if is_last else self._spares.pop(0)
            try:
                worker = spare.result(max(0.0, until_s - time.monotonic()))
            except IsolationUnavailable:  # its zygote may have died with it
                if is_last:
                    raise
                continue
            except TimeoutError:
                self._put_back(spare)
                timeout_s = self.settings.start_timeout_s
                raise IsolationUnavailable(f"no worker was ready in {timeout_s:g} s") from None
            except KeyboardInterrupt:
                self._put_back(spare)
                raise
            if worker.lives:
                return worker

    def _put_back(self, spare: "Future[Worker]") -> None:
        """Nobody waits for it any more: whoever asks next may find it ready."""
        with self._lock:
            self._spares.insert(0, spare)

    def _begin(self) -> "Future[Worker]":
        """To be called with the lock: nobody works on what is ordered after the end."""
        if not self._is_closed:
            return self._starts.begin()
        ended: Future[Worker] = Future()
        ended.set_exception(IsolationUnavailable("the session has ended"))
        return ended

    def keep_spares(self) -> None:
        """See to it that there is one ready for whoever asks next."""
        with self._lock:
            while len(self._spares) < self.settings.spares and not self._is_closed:
                self._spares.append(self._begin())

    @property
    def is_elsewhere(self) -> bool:
        """True where its workers are on another machine, as far as anybody knows."""
        return self._starts.is_elsewhere

    def end(self, worker: Worker) -> None:
        """End a worker at once, with all that it has started."""
        self._ended.add(worker.worker_id)
        worker.signal(9)

    def close(self) -> None:
        """End all of them; nothing is left afterwards."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self.turnstile.close()
        done = self._starts.close(self._end_all)
        self._nursery.hang_up()
        with suppress(TimeoutError):
            done.result(_CLOSE_S)
        self._relay.close()
        self._context.destroy(linger=0)
        shutil.rmtree(self._directory, ignore_errors=True)

    # -- in the thread of its starts ---------------------------------------------------------------

    def _joined(
        self, worker_id: str, order: Order, started: starter.Started, channels: Channels
    ) -> Worker:
        """One that was met is a worker of the pool."""
        if started.kind != "remote":  # there its own warden kills what it leaves
            self._tags[worker_id] = order.env[sweep.TAG_NAME]
        self._processes[worker_id] = started.process
        worker = Worker(
            worker_id,
            started,
            channels,
            relay=self._relay,
            outlet=self._outlet,
            on_change=self._changed,
        )
        worker.env = order.env
        self._workers[worker_id] = worker
        started.process.call_at_end(worker.died_with)
        return worker

    def _order(self, worker_id: str) -> Order:
        env = {name: value for name, value in self._env().items() if not is_stripped(name)}
        env[sweep.TAG_NAME] = uuid.uuid4().hex
        env.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        return Order(
            worker_id=worker_id,
            directory=self._directory,
            key=self._key,
            session_id=self._session_id,
            env=env,
            cwd=directory(),
            settings=self.settings,
            is_wanted=lambda: not self._is_closed,
        )

    def _changed(self, worker: Worker, reason: str) -> None:
        if worker.state == State.DEAD:
            if self._is_closed or worker.worker_id in self._ended:
                reason = ENDED
            self._ended.discard(worker.worker_id)
            self._workers.pop(worker.worker_id, None)
            self._starts.post(lambda: self._sweep(worker))
            self.turnstile.look_again()  # one with a name has left its place
        self._on_change(worker, reason)

    def _sweep(self, worker: Worker) -> None:
        """A zygote kills what its workers leave behind, if it lives itself."""
        self._processes.pop(worker.worker_id, None)
        tag = self._tags.pop(worker.worker_id, None)
        if tag is not None and not (worker.kind == "zygote" and self._nursery.is_alive):
            try:
                sweep.kill_all(tag)
            except OSError:  # no descriptor to look at processes with: at the end, then
                self._tags[worker.worker_id] = tag

    def _end_all(self) -> None:
        for process in self._processes.values():
            process.send_signal(9)
        self._nursery.close()
        for tag in (*self._tags.values(), self._tag):
            sweep.kill_all(tag)
        for process in self._processes.values():
            with suppress(TimeoutError):
                process.wait(_END_S)


def _cores() -> float:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _free_bytes() -> int:
    """Free on the disk of the working directory; none where nobody says."""
    try:
        return shutil.disk_usage(directory()).free
    except OSError:
        return 0


def _private(run_dir: Path) -> Path:
    """A directory that only this user can enter, with a path that sockets can have."""
    where: Any = run_dir if len(str(run_dir)) <= _LONGEST_PATH and run_dir.is_dir() else None
    return Path(tempfile.mkdtemp(prefix="workers-" if where else "flow-workers-", dir=where))


def is_stripped(name: str) -> bool:
    """True for a variable of the environment that is the session's, and none of its workers'."""
    return name in _STRIPPED or (name.startswith("FLOW_") and name != "FLOW_HOME")
