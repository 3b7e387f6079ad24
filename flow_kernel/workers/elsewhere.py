"""Starts a worker on another machine, through a kernel provisioner that somebody else has written.

Called by `starts` where the settings name one. Such a worker shares no file, no memory and no pid
with us. All that is known of it comes over its sockets, encrypted, and from its provisioner, which
is asked several times a second whether it still runs.

A provisioner may keep what belongs to one event loop; so each worker has a thread with a loop,
which starts it, asks for it and ends it.
"""

import asyncio
import json
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers.manager import APP, Order, WorkerManager
from flow_kernel.workers.processes import Ended, HeardProcess
from flow_kernel.workers.starter import Started

_ASK_S: Final = 0.2
_SOON_S: Final = 0.02
_LOST_S: Final = 10.0
_CLEAN_UP_S: Final = 5.0
_SLICE_S: Final = 0.1


def start(order: Order) -> Started:
    """Start a worker; whether it answers is the caller's to find out.

    Raises:
        IsolationUnavailable: Its provisioner is not there, or could not start it.
    """
    settings = order.settings
    said = {"lost_after_s": settings.lost_after_s, "first_s": settings.start_timeout_s}
    bonds = json.dumps(said, separators=(",", ":"))
    manager = WorkerManager(
        order,
        provisioner=settings.provisioner,
        argv=(settings.python or sys.executable, "-m", APP, "--flow", bonds),
        is_far=True,
    )
    process = FarProcess(manager, order)
    try:
        process.wait_until_started(order)
    except BaseException:
        process.kill()
        raise
    manager.cleanup_connection_file()  # it holds keys, and nobody here reads it
    return Started(
        manager=manager,
        process=process,
        kind="remote",
        pipes=(),
        modules=(),
        last_words=None,
        reason=f"configured: {settings.provisioner}",
    )


class FarProcess(HeardProcess):
    """What a provisioner has started, and the thread that talks to that provisioner."""

    def __init__(self, manager: WorkerManager, order: Order) -> None:
        super().__init__(None)
        self._manager = manager
        self._order = order
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._is_unwanted = False
        name = f"flow-far-{order.worker_id}"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def wait_until_started(self, order: Order) -> None:
        """Wait until its provisioner says that it runs.

        Raises:
            IsolationUnavailable: It says that it does not, or takes too long.
        """
        until = time.monotonic() + order.settings.start_timeout_s
        while True:
            try:
                self._started.result(_SLICE_S)
                return
            except TimeoutError:
                order.mind()
                if time.monotonic() > until:
                    raise IsolationUnavailable(
                        f"{order.settings.provisioner} did not start a worker in"
                        f" {order.settings.start_timeout_s:g} s"
                    ) from None

    def send_signal(self, number: int) -> None:
        """Have its provisioner signal it, if it has not ended."""
        self._is_unwanted = self._is_unwanted or number == getattr(signal, "SIGKILL", None)
        if self._loop is not None and not self._ended.done() and self._started.done():
            self._post(self._signal(number))

    # -- in its own thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except Exception as error:  # noqa: BLE001 - provisioners of others raise anything; it is told
            if not self._started.done():
                what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                told = IsolationUnavailable(f"no worker can be started: {what}")
                self._started.set_exception(told)
        finally:
            self.end(Ended(returncode=None))

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        manager, order = self._manager, self._order
        await manager._async_start_kernel(env=dict(order.env), cwd=order.cwd)
        provisioner = manager.provisioner
        pid = getattr(provisioner, "pid", None)
        self.pid: int | None = pid if type(pid) is int else None
        try:
            self._started.set_result(None)
            if self._is_unwanted:
                await self._signal(signal.SIGKILL)
            self.end(Ended(returncode=await self._ask(provisioner)))
        finally:
            with suppress(Exception):  # it is over, whatever a provisioner has to say of it
                async with asyncio.timeout(_CLEAN_UP_S):
                    await provisioner.wait()
                    await provisioner.cleanup(restart=False)

    async def _ask(self, provisioner: Any) -> int | None:
        """How it ended, once it has; None where it cannot be asked any more."""
        failing_since_s: float | None = None
        while True:
            try:
                async with asyncio.timeout(_LOST_S):
                    code: int | None = await provisioner.poll()
                failing_since_s = None
            except Exception:  # noqa: BLE001 - see above; a network comes back
                code, now_s = None, time.monotonic()
                failing_since_s = failing_since_s or now_s
                if now_s - failing_since_s > _LOST_S:
                    return None
            if code is not None:
                return code
            with suppress(TimeoutError):
                async with asyncio.timeout(_SOON_S if self._is_unwanted else _ASK_S):
                    await self._wake.wait()
            self._wake.clear()

    async def _signal(self, number: int) -> None:
        provisioner = self._manager.provisioner
        with suppress(Exception):  # see above
            if number == getattr(signal, "SIGKILL", None):
                await provisioner.kill()
            elif number == signal.SIGTERM:
                await provisioner.terminate()
            else:
                await provisioner.send_signal(number)
        self._wake.set()

    def _post(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run_coroutine_threadsafe(call, self._loop)  # type: ignore[arg-type]  # it is set
        except RuntimeError:  # its loop has just ended, and it with it
            call.close()
