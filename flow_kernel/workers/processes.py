"""Processes of workers with the verbs of `subprocess.Popen`, whose end is heard, not asked for.

Made by `zygote_client`, `starter` and `elsewhere`, each of which has a kind of its own.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import subprocess

_KILL: Final = getattr(signal, "SIGKILL", signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended.

    Attributes:
        returncode: As `subprocess.Popen` says it, negative for a signal; None where nobody learned
            it.
        peak_rss_bytes: The most it held.
        cpu_s: All that it used.
    """

    returncode: int | None
    peak_rss_bytes: int | None = None
    cpu_s: float | None = None


class HeardProcess:
    """A process that somebody tells the end of.

    Args:
        pid: None where it is none of this machine, and nobody says.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int | None) -> None:
        self.pid: int | None = pid
        self._ended: Future[Ended] = Future()

    @property
    def ended(self) -> Ended | None:
        """How it ended; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative for a signal; 0 where nobody knows."""
        return None if self.ended is None else self.ended.returncode or 0

    def poll(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            TimeoutError: It still runs.
        """
        return self._ended.result(timeout).returncode or 0

    def send_signal(self, number: int) -> None:
        """Signal its process group, if it has not ended."""
        raise NotImplementedError

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(_KILL)

    def end(self, ended: Ended) -> None:
        """Somebody has heard how it ended."""
        if not self._ended.done():
            self._ended.set_result(ended)

    def call_at_end(self, call: Callable[[Ended], None]) -> None:
        """Have `call` told how it ended, in the thread that hears it; at once if it has."""
        self._ended.add_done_callback(lambda future: call(future.result()))


class ProgramProcess(HeardProcess):
    """A child of this process that leads a process group; a thread waits for its end.

    Args:
        popen: What was started. Nobody else may wait for it.
    """

    def __init__(self, popen: "subprocess.Popen[Any]") -> None:
        super().__init__(popen.pid)
        self._popen = popen
        self._reaping = threading.Lock()
        self._is_over = False
        threading.Thread(target=self._wait, name="flow-waiter", daemon=True).start()

    def send_signal(self, number: int) -> None:
        """Signal its process group, if it has not ended."""
        with self._reaping:  # as long as it is not reaped, the number is its own
            if not self._is_over:
                _signal(self._popen, number)

    def _wait(self) -> None:
        if hasattr(os, "waitid"):
            with suppress(ChildProcessError):  # a cell has waited for any child, and got this one
                os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
            with self._reaping:
                ended = _reap(self._popen)
                self._is_over = True
        else:
            ended = _reap(self._popen)
            with self._reaping:
                self._is_over = True
        self._popen.returncode = ended.returncode or 0
        self.end(ended)


def _signal(popen: "subprocess.Popen[Any]", number: int) -> None:
    if sys.platform == "win32":
        _signal_on_windows(popen, number)
        return
    try:
        os.killpg(popen.pid, number)
    except (ProcessLookupError, PermissionError):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(popen.pid, number)


def _signal_on_windows(popen: Any, number: int) -> None:
    if number == signal.SIGINT:
        from jupyter_client.win_interrupt import send_interrupt  # there is none elsewhere

        send_interrupt(popen.win32_interrupt_event)
    else:
        popen.terminate()


def _reap(popen: "subprocess.Popen[Any]") -> Ended:
    if not hasattr(os, "wait4"):
        return Ended(returncode=popen.wait())
    try:
        _, status, usage = os.wait4(popen.pid, 0)
    except ChildProcessError:
        return Ended(returncode=None)
    scale = 1 if sys.platform == "darwin" else 1024
    return Ended(
        returncode=os.waitstatus_to_exitcode(status),
        peak_rss_bytes=usage.ru_maxrss * scale,
        cpu_s=usage.ru_utime + usage.ru_stime,
    )
