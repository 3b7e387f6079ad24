"""A kernel of the server's own: started before anything else, ended with the server.

Made by `kernels`. It lives in a private folder with its sockets; it ends with us however we end,
because it watches its parent.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jupyter_client.manager import KernelManager

from flow_kernel.apps.control_client import ControlClient
from flow_kernel.apps.kernelspec import NAME, private_transport
from flow_kernel.errors import KernelGone
from flow_kernel.records.lease import Lease, owned
from flow_kernel.records.process import oom_kills, start_time, this_process

START_S: Final = 60.0
_STOP_MS: Final = 3000
_TICK_S: Final = 0.01
_SOCKETS: Final = 5


class OwnKernel:
    """A kernel process.

    Args:
        folder: A new directory for its sockets; the path is short.
        env: Its environment.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, folder: Path, *, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._is_given_up = False
        self._manager = KernelManager(
            kernel_name=NAME,
            connection_file=str(folder / "c.json"),
            **private_transport(folder),
        )
        # What it says of itself goes where a client shows it, and never into the protocol.
        self._manager.start_kernel(env=owned(env), stdout=2, stderr=2)

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self._is_given_up = True

    @property
    def _process(self) -> Any:
        return self._manager.provisioner.process

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it runs."""
        code = self._process.poll()
        return code if isinstance(code, int) else None

    def ready(self) -> tuple[Lease, Path]:
        """What its session says of itself, and its home, once it answers; to be called in a thread.

        Raises:
            KernelGone: It ended, or took too long.
        """
        deadline_s = time.monotonic() + START_S
        file = Path(self._manager.connection_file)
        names = [self._folder / f"s-{number}" for number in range(1, _SOCKETS + 1)]
        # Connecting to what is not there yet costs a tenth of a second.
        while self._manager.transport == "ipc" and not all(map(Path.exists, names)):
            self._check(deadline_s)
            time.sleep(_TICK_S)
        with ControlClient(file, lives=self._is_wanted) as control:
            try:
                told = control.ask("status", timeout_s=max(deadline_s - time.monotonic(), 1.0))
            except KernelGone:
                self._check(deadline_s)  # says how it has ended
                raise
        pid = int(self._process.pid)
        process = replace(this_process(), pid=pid, start_time=start_time(pid) or "")
        lease = Lease(
            session=str(told["session"]),
            process=process,
            plan_id=str(told["plan_id"]),
            task_id=str(told["task_id"]),
            started_at="",
            notebook="",
            oom_kills=oom_kills(),
            connection_file=str(file),
            is_private=True,
        )
        return lease, Path(str(told["home"]))

    def close(self) -> None:
        """Ask it to end, and make it end when it does not."""
        pid = int(self._process.pid)
        with contextlib.suppress(Exception):  # whatever it is, the kill below ends it
            if self.exit_code is None:
                self._manager.request_shutdown()
                self._manager.interrupt_kernel()
                _wait(pid, _STOP_MS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        self._manager.context.destroy(0)

    def _is_wanted(self) -> bool:
        return self.exit_code is None and not self._is_given_up

    def _check(self, deadline_s: float) -> None:
        if self._is_given_up:
            raise KernelGone("the server ends")
        if (code := self.exit_code) is not None:
            raise KernelGone(f"the kernel ended while it started (exit code {code})")
        if time.monotonic() > deadline_s:
            raise KernelGone(f"the kernel did not answer within {START_S:.0f} s")


def _wait(pid: int, timeout_ms: int) -> None:
    """Wait for the end of a process."""
    fd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(timeout_ms)
    finally:
        os.close(fd)
