"""Starts workers, several at a time.

Built by `pool`. One thread starts them all and lives as long as the pool: the system takes the end
of a thread that has started a process for the end of the owner. Until one is ready, a thread of its
own waits for it, and the next one is started.

    provisioner           kind of worker
    flow-zygote           zygote; spawn where no fork is safe, or where it fails
    local-provisioner     spawn: a program
    any other             remote
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, NamedTuple

from jupyter_core.utils import ensure_event_loop

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.settings import PoolSettings
from flow_kernel.workers import elsewhere, starter
from flow_kernel.workers.channels import Channels
from flow_kernel.workers.manager import LOCAL, Order
from flow_kernel.workers.nursery import Nursery
from flow_kernel.workers.provisioner import NAME
from flow_kernel.workers.starter import Started
from flow_kernel.workers.worker import Worker
from flow_kernel.workers.zygote_client import CAN_FORK, ZygoteClient

_END_S: Final = 5.0
_FEWEST: Final = 2
_LATER_S: Final = 0.05
"""Most cells that are quick have ended by then."""
_ENDED: Final = "the session has ended"


class _Try(NamedTuple):
    """One attempt to start a worker.

    Attributes:
        worker_id: Its name.
        order: How.
        zygote: That forks it; None where none does.
        ready: Gets it.
    """

    worker_id: str
    order: Order
    zygote: ZygoteClient | None
    ready: "Future[Worker]"


class Starts:
    """See the module.

    Args:
        order: How to start the worker of an id.
        meet: Connects to one that is ready; called in the thread that waits for it.
        join: Makes one that was met a worker of the pool; called in the thread.
        nursery: Of the pool; called in the thread.
        settings: How workers are made.
    """

    def __init__(
        self,
        *,
        order: Callable[[str], Order],
        meet: Callable[[Order, Started], Channels],
        join: Callable[[str, Order, Started, Channels], Worker],
        nursery: Nursery,
        settings: PoolSettings,
    ) -> None:
        self._order = order
        self._meet = meet
        self._join = join
        self._nursery = nursery
        self._settings = settings
        self._count = 0
        self._most = max(_FEWEST, os.cpu_count() or 1)
        self._waits: set[threading.Thread] = set()
        self._later: deque[Future[Worker]] = deque()
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._due: deque[tuple[float, Callable[[], None]]] = deque()
        """Calls that are made later, the next one first."""
        self._is_closed = False
        threading.Thread(target=self._work, name="flow-pool", daemon=True).start()

    @property
    def is_elsewhere(self) -> bool:
        """True where workers are on another machine, as far as anybody knows."""
        return self._settings.provisioner not in (NAME, LOCAL)

    def begin(self) -> "Future[Worker]":
        """Begin to start one; not any more once `close` was called."""
        ready: Future[Worker] = Future()
        self.post(partial(self._start, ready))
        return ready

    def post(self, call: Callable[[], None]) -> None:
        """Have the thread make a call."""
        self._calls.put(call)

    def post_later(self, call: Callable[[], None]) -> None:
        """Have the thread make a call a moment later."""
        at_s = time.monotonic() + _LATER_S
        self.post(lambda: self._due.append((at_s, call)))

    def close(self, end: Callable[[], None]) -> "Future[None]":
        """End the thread, and what it has begun to start.

        Args:
            end: Called in it before.

        Returns:
            Done once nothing goes on any more.
        """
        done: Future[None] = Future()
        self.post(partial(self._close, end, done))
        self._calls.put(None)
        return done

    # -- in the thread -----------------------------------------------------------------------------

    def _work(self) -> None:
        loop = ensure_event_loop()  # jupyter_client's for this thread, which has no other end
        while (call := self._next()) is not None:
            call()
        loop.close()

    def _next(self) -> Callable[[], None] | None:
        """What is to be called next; None for the end."""
        due_s = self._due[0][0] - time.monotonic() if self._due else None
        try:
            return self._calls.get(timeout=None if due_s is None else max(0.0, due_s))
        except Empty:
            return self._due.popleft()[1]

    def _start(self, ready: "Future[Worker]") -> None:
        if self._is_closed:
            ready.set_exception(IsolationUnavailable(_ENDED))
        elif len(self._waits) >= self._most:
            self._later.append(ready)  # more at a time would be ready no sooner
        else:
            self._count += 1
            worker_id = f"w{self._count}"
            try:
                self._first_try(worker_id, self._order(worker_id), ready)
            except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
                self._fail(ready, error)

    def _first_try(self, worker_id: str, order: Order, ready: "Future[Worker]") -> None:
        if self.is_elsewhere:
            self._wait(_Try(worker_id, order, None, ready), partial(elsewhere.start, order))
            return
        reason, is_makeshift = f"configured: {LOCAL}", False
        if self._settings.provisioner == NAME:
            zygote = self._nursery.zygote()
            if zygote is not None:
                attempt = _Try(worker_id, order, zygote, ready)
                try:
                    self._wait(attempt, starter.begin_fork(order, zygote))
                except IsolationUnavailable as error:
                    self._second_try(attempt, error)
                return
            reason, is_makeshift = self._nursery.reason, CAN_FORK
        begun = starter.begin_program(order, reason, is_makeshift=is_makeshift)
        self._wait(_Try(worker_id, order, None, ready), begun)

    def _second_try(self, before: _Try, error: IsolationUnavailable) -> None:
        """A program, where there was no fork."""
        before.order.mind()
        assert before.zygote is not None  # noqa: S101 - it is what has failed
        self._nursery.failed(error, before.zygote)
        order = before.order.again(self._order(before.order.worker_id).env)
        begun = starter.begin_program(order, str(error), is_makeshift=CAN_FORK)
        self._wait(_Try(before.worker_id, order, None, before.ready), begun)

    def _wait(self, attempt: _Try, finish: Callable[[], Started]) -> None:
        """Have a thread wait until what was begun is ready and answers."""

        def wait() -> None:
            try:
                started = finish()
                channels = self._met(attempt.order, started)
            except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
                self.post(partial(self._failed, thread, attempt, error))
            else:
                self.post(partial(self._started, thread, attempt, started, channels))

        thread = threading.Thread(target=wait, name="flow-pool-wait", daemon=True)
        self._waits.add(thread)
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads
            wait()

    def _met(self, order: Order, started: Started) -> Channels:
        try:
            return self._meet(order, started)
        except BaseException:
            starter.give_up(started)
            raise

    def _started(
        self, thread: threading.Thread, attempt: _Try, started: Started, channels: Channels
    ) -> None:
        self._waits.discard(thread)
        try:
            if self._is_closed:
                channels.close()
                starter.give_up(started)
                raise IsolationUnavailable(_ENDED)  # noqa: TRY301 - told below like the rest
            if attempt.zygote is not None:
                self._nursery.succeeded(started.modules, attempt.zygote)
            worker = self._join(attempt.worker_id, attempt.order, started, channels)
            attempt.ready.set_result(worker)
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            attempt.ready.set_exception(error)
        self._go_on()

    def _failed(self, thread: threading.Thread, attempt: _Try, error: BaseException) -> None:
        self._waits.discard(thread)
        if attempt.zygote is None or not isinstance(error, IsolationUnavailable):
            self._fail(attempt.ready, error)
            return
        try:
            self._second_try(attempt, error)
        except BaseException as second:  # noqa: BLE001 - see above
            self._fail(attempt.ready, second)

    def _fail(self, ready: "Future[Worker]", error: BaseException) -> None:
        ready.set_exception(error)
        self._go_on()

    def _go_on(self) -> None:
        """There is room for one that had to wait."""
        if self._later:
            self._start(self._later.popleft())

    def _close(self, end: Callable[[], None], done: "Future[None]") -> None:
        self._is_closed = True
        try:
            end()
            for thread in [*self._waits]:
                if thread.ident is not None:  # else it was waited for here
                    thread.join(_END_S)
            while True:  # what those threads have said, and what was asked for meanwhile
                call = self._calls.get_nowait()
                if call is not None:
                    call()
        except Empty:
            self._calls.put(None)
        finally:
            for ready in self._later:
                ready.set_exception(IsolationUnavailable(_ENDED))
            done.set_result(None)
