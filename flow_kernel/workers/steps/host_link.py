"""A process that steps are forked from, seen from its owner: its start, what it says, its end.

Used by `host`; see `host_process` for the words.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from mmap import mmap
from pathlib import Path
from typing import Any, Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers.steps import words
from flow_kernel.workers.steps.seen import SLOT_BYTES, SLOTS

_START: Final = "from flow_kernel.workers.steps.host_process import main; main()"
"""`-m` would first look for the module, and load for that what takes 4 ms."""
_NOISE_BYTES: Final = 1 << 20
_END_S: Final = 5.0


class HostLink:
    """One such process.

    Args:
        modules: What it imports.
        env: Its environment.
        spares: How many processes it keeps waiting.
        hear: Gets each of its words.
        gone: Called once when it has ended.
    """

    def __init__(
        self, modules: Sequence[str], env: Mapping[str, str], *, spares: int,
        hear: Callable[[dict[str, Any]], None], gone: Callable[[], None],
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._hear = hear
        self._gone = gone
        self.env: dict[str, str] = {**env, "PYTHONPATH": _home()}
        self.ended: asyncio.Event = asyncio.Event()
        self.importing: str = ""
        self.memory: mmap | None = None
        """Where its steps show themselves; None until it is ready."""
        self._waiting: deque[tuple[Mapping[str, Any], list[int]]] = deque()
        self._sock, self._process = self._start(modules, spares)
        self._loop.add_reader(self._sock, self._read)

    @property
    def pid(self) -> int:
        """Of it."""
        return self._process.pid

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Say a word; it waits its turn where the host has much to do.

        Args:
            message: See `host_process`.
            fds: Go with it; the caller closes them.

        Raises:
            OSError: It is gone, or no descriptor can be had.
        """
        if not self._waiting:
            try:
                words.send(self._sock, message, fds)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._say_waiting)
            else:
                return
        self._waiting.append((message, [os.dup(fd) for fd in fds]))

    def kill(self) -> None:
        """End it, with what it has forked; what these have left is the caller's to sweep."""
        if not self.ended.is_set():
            self._process.kill()

    async def close(self) -> None:
        """Have it kill all and go."""
        if not self.ended.is_set():
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await self.ended.wait()
            self.kill()
            await self.ended.wait()

    # -- inside ------------------------------------------------------------------------------------

    def _start(
        self, modules: Sequence[str], spares: int
    ) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise IsolationUnavailable(f"no step can be started: {error}") from None
        noise, noise_end = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):
            _set_pipe_size(noise_end, _NOISE_BYTES)
        numbers = map(str, (theirs.fileno(), os.getpid(), noise, spares))
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-c", _START, *numbers, *modules],
                env=self.env,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=noise_end,
                stderr=noise_end,
                pass_fds=[theirs.fileno(), noise],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise IsolationUnavailable(f"no step can be started: {error}") from None
        finally:
            theirs.close()
            os.close(noise)
            os.close(noise_end)
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * words.PACKET_BYTES)
        return ours, process

    def _read(self) -> None:
        for _ in range(64):
            try:
                message, fds = words.receive(self._sock)
            except BlockingIOError:
                return
            except (ValueError, OSError):
                continue
            if message is None:
                self._end()
                return
            if message["op"] == "importing":
                self.importing = str(message["module"])
            if fds and self.memory is None:
                self.memory = mmap(fds[0], SLOTS * SLOT_BYTES)
            _close(fds)
            self._hear(message)

    def _say_waiting(self) -> None:
        while self._waiting:
            message, fds = self._waiting[0]
            try:
                words.send(self._sock, message, fds)
            except BlockingIOError:
                return
            except OSError:  # it is gone, which is heard as well
                break
            self._waiting.popleft()
            _close(fds)
        self._loop.remove_writer(self._sock)

    def _end(self) -> None:
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        while self._waiting:
            _close(self._waiting.popleft()[1])
        self._sock.close()
        self._process.kill()  # it may have closed its end only
        self._process.wait()
        if self.memory is not None:
            self.memory.close()
        self.ended.set()
        self._gone()


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _home() -> str:
    """Where this package is found."""
    return str(Path(__file__).parents[3])


def _set_pipe_size(fd: int, nbytes: int) -> None:
    import fcntl  # not on Windows

    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, nbytes)
