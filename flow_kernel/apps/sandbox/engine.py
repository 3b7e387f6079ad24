"""The tasks of one server: begun, found again, bounded, forgotten some minutes after their end.

Made by `server`; called by `connection` in the loop of the server. One session of a home runs them
as isolated cells, each in a thread of its own that waits for its worker.
"""

import logging
import os
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from flow_kernel.apps.sandbox.names import SHELLS, Names
from flow_kernel.apps.sandbox.outlet import SandboxOutlet
from flow_kernel.apps.sandbox.past import PastTasks
from flow_kernel.apps.sandbox.settings import SandboxSettings
from flow_kernel.apps.sandbox.spools import Spools
from flow_kernel.apps.sandbox.stream import TaskStream
from flow_kernel.apps.sandbox.task import Owner, Task, warm_up
from flow_kernel.apps.sandbox.wire import Execute, Refused
from flow_kernel.apps.sandbox.workspace import workspace_of
from flow_kernel.errors import NotFound
from flow_kernel.records.home import Home
from flow_kernel.session.assembly import assemble
from flow_kernel.session.isolation.worker_text import health_of
from flow_kernel.session.session import Session
from flow_kernel.settings import Settings

_CLOSE_S: Final = 10.0
_LOG: Final = logging.getLogger(__name__)


class Engine:
    """See the module.

    Args:
        home: Where it records.
        root: Of the server; tasks run there, or below.
        settings: Its bounds.
    """

    def __init__(self, home: Home, *, root: Path, settings: SandboxSettings) -> None:
        self._home = home
        self._root = root
        self.settings: SandboxSettings = settings
        self.server_id: str = uuid.uuid4().hex
        self._outlet = SandboxOutlet()
        self._names = Names(
            max(1, settings.pool.max_workers - SHELLS - 1), keep_s=settings.keep_s, end=self._end
        )
        self._spools = Spools(
            home.run_dir,
            most_bytes=settings.spool_bytes,
            reserve_bytes=settings.reserve_bytes,
        )
        self._tasks: dict[tuple[str, str], Task] = {}
        self._past = PastTasks(settings.remembered_tasks, keep_s=settings.remember_s)
        self._lock = threading.Lock()
        self._session: Future[Session] | None = None
        self._threads: set[threading.Thread] = set()
        self._is_closed = False

    # -- tasks -------------------------------------------------------------------------------------

    def place(self, order: Execute) -> Path:
        """The directory where a task is to run; it looks at the disk.

        Raises:
            Refused: There is none.
        """
        return workspace_of(order.workspace, (self._root, self._home.root))

    def begin(self, order: Execute, owner: Owner, directory: Path) -> Task:
        """Begin a task.

        Args:
            order: What its client wants.
            owner: Whose it is.
            directory: What `place` has found for it.

        Raises:
            Refused: It cannot be; nothing was run.
        """
        self._forget()
        task_id = order.task_id or uuid.uuid4().hex
        if self._past.has(owner.name, task_id):
            raise Refused(
                "a task of that id has ended, and what it has said is not kept any more; nothing"
                " was run",
                reason="forgotten",
                task_id=task_id,
                hint="take another taskId to run something",
            )
        if (owner.name, task_id) in self._tasks:
            raise Refused(
                "there is a task of that id already; nothing was run",
                reason="exists",
                task_id=task_id,
                hint="send resumeFrom to hear of it, or take another taskId",
            )
        if self._is_closed:
            raise Refused(
                "the server is about to end; nothing was run", reason="busy", task_id=task_id
            )
        if self.running >= self.settings.max_tasks:
            raise Refused(
                f"{self.settings.max_tasks} tasks run or wait already; nothing was run",
                reason="busy",
                task_id=task_id,
                hint="try again when some have ended",
            )
        task = Task(
            order,
            task_id=task_id,
            owner=owner,
            directory=directory,
            worker=self._worker_of(order, owner, directory),
            stream=TaskStream(
                task_id,
                directory=self._home.run_dir,
                most_bytes=self.settings.output_bytes * 2,  # it counts as JSON there
                spools=self._spools,
            ),
            most_output_bytes=self.settings.output_bytes,
        )
        thread = threading.Thread(target=self._live, args=(task,), name="flow-task", daemon=True)
        self._tasks[owner.name, task_id] = task
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._threads.discard(thread)
            del self._tasks[owner.name, task_id]
            self._names.give_back(task.worker, is_well=True)
            raise Refused(f"no thread could be begun: {error}", reason="busy") from None
        return task

    def find(self, task_id: str, owner: Owner) -> Task:
        """A task of a user, also one that has ended lately.

        Raises:
            Refused: There is none.
        """
        self._forget()
        task = self._tasks.get((owner.name, task_id))
        if task is None:
            raise Refused(
                "there is no task of that id, or it has ended long ago",
                reason="not_found",
                task_id=task_id,
            )
        return task

    def glance(self, task_id: str, owner: Owner) -> dict[str, Any] | None:
        """What a sign of life says of a task; None where there is none."""
        task = self._tasks.get((owner.name, task_id))
        if task is None:
            return None
        return {"workerId": task.worker_id, "state": task.state, "seq": task.stream.last_seq}

    @property
    def running(self) -> int:
        """How many run or wait."""
        return sum(task.state != "ended" for task in [*self._tasks.values()])

    # -- the session -------------------------------------------------------------------------------

    def warm_up(self) -> "Future[Session] | None":
        """Open the session, in a thread: the first task finds its worker ready.

        Returns:
            The session to come; None where nothing is begun any more. After a failure the next
            call tries anew.
        """
        with self._lock:
            if self._session is not None or self._is_closed:
                return self._session
            opening = self._session = Future()
            thread = threading.Thread(
                target=self._open, args=(opening,), name="flow-sandbox", daemon=True
            )
        try:
            thread.start()
        except RuntimeError as error:
            self._failed(opening, error)
        return opening

    def health(self) -> dict[str, Any]:
        """How the workers are, as `jupyter flow workers --health` tells it."""
        session = self._opened()
        isolation = None if session is None else session.find_isolation()
        views = [] if isolation is None else isolation.steering.views()
        queue = 0 if isolation is None else isolation.pool.turnstile.queue
        return {**health_of(views, queue), "tasks": self.running, "server": self.server_id}

    def close(self) -> None:
        """End all tasks and workers; nothing is left afterwards."""
        with self._lock:
            self._is_closed = True
            opening = self._session
        for task in [*self._tasks.values()]:
            task.terminate()
            task.kill()
        until_s = time.monotonic() + _CLOSE_S
        for thread in [*self._threads]:  # their records are written before the log is closed
            thread.join(max(0.0, until_s - time.monotonic()))
        if opening is not None:
            with suppress(Exception):  # there is none
                opening.result(_CLOSE_S).close()
        for task in [*self._tasks.values()]:
            task.stream.close()
        self._tasks.clear()

    # -- inside ------------------------------------------------------------------------------------

    def _opened(self) -> Session | None:
        opening = self._session
        is_there = opening is not None and opening.done() and opening.exception() is None
        return opening.result() if opening is not None and is_there else None

    def _open(self, opening: "Future[Session]") -> None:
        session: Session | None = None
        try:
            settings = Settings(actor="sandbox", pool=self.settings.pool)
            session = assemble(self._home, env=os.environ, settings=settings, ground=self._outlet)
            self._outlet.recorder = session.recorder
            session.isolation.pool.keep_spares()
            session.warm_up()
        except BaseException as error:  # noqa: BLE001 - the boundary of the thread: tasks are told
            if session is not None:
                with suppress(Exception):
                    session.close()
            self._failed(opening, error)
            return
        try:
            self._warm_shells(session)
        except Exception:  # noqa: BLE001 - commands are slower then, and that is all
            _LOG.warning("flow: no worker of the sandbox is warm", exc_info=True)
        opening.set_result(session)

    def _failed(self, opening: "Future[Session]", error: BaseException) -> None:
        """There is no session; the next one who needs it tries again."""
        with self._lock:
            if self._session is opening:
                self._session = None
            self._outlet.recorder = None
        opening.set_exception(error)

    def _live(self, task: Task) -> None:
        try:
            opening = self.warm_up()
            if opening is None:
                raise RuntimeError("the sandbox has ended")  # noqa: TRY301 - told like any failure
            session = opening.result()
            task.run(session, self._outlet)
            session.isolation.pool.keep_spares()  # its client has the answer by now
        except BaseException as error:  # noqa: BLE001 - the boundary of the thread: its client is told
            task.fail(error)
        finally:
            self._names.give_back(task.worker, is_well=task.is_well)
            self._threads.discard(threading.current_thread())

    def _worker_of(self, order: Execute, owner: Owner, directory: Path) -> str | None:
        """The name of the worker that a task runs in; None for a new one."""
        if order.worker is not None:
            return self._names.named(order.worker, owner.name, directory)
        return self._names.shell() if order.is_command else None

    def _end(self, name: str) -> None:
        """End a worker that nobody uses any more."""
        session = self._opened()
        isolation = None if session is None else session.find_isolation()
        if isolation is not None:
            with suppress(NotFound):
                isolation.pool.end(isolation.pool.find(name))

    def _warm_shells(self, session: Session) -> None:
        """The first command of a worker takes three times as long as the second."""
        names = [self._names.shell() for _ in range(SHELLS)]
        for name in names:
            is_well = False
            try:
                is_well = name is not None and warm_up(session, name)
            finally:
                self._names.give_back(name, is_well=is_well)

    def _forget(self) -> None:
        """Let go of tasks that have ended long ago, or that are too many."""
        now_s = time.monotonic()
        ended = [
            (task.ended_s, key, task)
            for key, task in self._tasks.items()
            if task.ended_s is not None and not task.stream.followers
        ]
        kept: Counter[str] = Counter()
        for ended_s, key, task in sorted(ended, key=lambda one: -one[0]):
            kept[task.owner.name] += 1
            is_surplus = kept[task.owner.name] > self.settings.kept_tasks
            if is_surplus or task.stream.is_closed or now_s - ended_s > self.settings.keep_s:
                task.stream.close()
                del self._tasks[key]
                if task.order.task_id:  # one that we have chosen is nobody's to send
                    self._past.add(*key)
