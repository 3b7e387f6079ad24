"""The owner's side of a zygote: starts it, asks it for workers, hears how they end.

Called by `provisioner`; one for each pool. See `zygote` and `wire`.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers import sweep, wire
from flow_kernel.workers.here import search_path
from flow_kernel.workers.processes import Ended, HeardProcess

_START_S: Final = 30.0
_FORK_S: Final = 10.0
_KILL_S: Final = 1.0
_NOBODY: Final = ""
"""Waits for the answer."""
CAN_FORK: Final = sys.platform.startswith("linux")
"""Elsewhere a fork without exec is unsafe (macOS) or there is none (Windows)."""


class ForkedProcess(HeardProcess):
    """A child of the zygote, which tells its end."""

    def __init__(self, client: "ZygoteClient", pid: int) -> None:
        super().__init__(pid)
        self._client = client
        self._number = pid

    def send_signal(self, number: int) -> None:
        """Signal its process group, if it has not ended."""
        if not self._ended.done():
            self._client.kill(self._number, number)


class ZygoteClient:
    """A zygote and the thread that hears it.

    Args:
        directory: Of sockets; the zygote removes it when this process is gone.
        env: Its environment, with the tag that all of ours carry.
    """

    def __init__(self, directory: Path, env: Mapping[str, str]) -> None:
        self._directory = directory
        self._env = dict(env)
        self._lock = threading.Lock()
        self._count = 0
        self._asked: dict[str, Future[Any]] = {}
        self._children: dict[int, ForkedProcess] = {}
        self._ready: Future[int] = Future()
        self._sock: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_gone = False

    @property
    def pid(self) -> int | None:
        """Of the zygote."""
        return None if self._process is None else self._process.pid

    @property
    def is_alive(self) -> bool:
        """True until its end was heard."""
        return self._process is not None and not self._is_gone

    @property
    def has_children(self) -> bool:
        """True while something lives that it has forked."""
        return self.is_alive and bool(self._children)

    def start(self) -> None:
        """Start it without waiting for it.

        The thread that calls has to live as long as the zygote: the system takes its end for the
        owner's.

        Raises:
            IsolationUnavailable: There can be no more processes or descriptors.
        """
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise IsolationUnavailable(f"no worker can be started: {error}") from None
        with theirs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * wire.MOST_BYTES)
            arguments = (str(theirs.fileno()), str(os.getpid()), str(self._directory))
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own module
                    [*self._program(), *arguments],
                    env=self._environment(),
                    cwd=self._home,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise IsolationUnavailable(f"no worker can be started: {error}") from None
        self._sock = ours
        try:
            threading.Thread(target=self._hear, name="flow-zygote", daemon=True).start()
        except RuntimeError as error:
            self.discard()
            ours.close()
            raise IsolationUnavailable(f"no worker can be started: {error}") from None

    def fork(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str, fds: Sequence[int]
    ) -> ForkedProcess:
        """A worker.

        Args:
            argv: Of `shell.worker.app.run`.
            env: Its environment.
            cwd: Its directory.
            fds: Its stdout and stderr, and what else it is to keep.

        Raises:
            IsolationUnavailable: The zygote refuses, is gone or does not answer.
        """
        self._wait(self._ready, _START_S)
        number, asked = self._ask()
        self._send(
            {
                "op": "fork", "id": number, "argv": list(argv), "env": dict(env), "cwd": cwd,
                "path": search_path(),
            },
            fds,
        )  # fmt: skip
        try:
            process: ForkedProcess = self._wait(asked, _FORK_S)
        except IsolationUnavailable:
            with self._lock:
                is_late = self._asked.pop(number, None) is not None
            if not is_late:  # heard just now
                with suppress(Exception):
                    asked.result(0).send_signal(signal.SIGKILL)
            raise
        return process

    def preload(self, modules: Sequence[str]) -> None:
        """Have it import what its next workers will need."""
        with suppress(IsolationUnavailable):
            self._send({"op": "preload", "modules": list(modules)})

    def kill(self, pid: int, number: int) -> None:
        """Signal the process group of a worker that it has not reaped yet; it has it afterwards.

        A zygote that stands still is sent on its way, for it could tell no end of a worker. Where
        it is busy, with an import say, the worker is signalled from here; the end of one that was
        killed so is told from here as well.
        """
        ident, asked = self._ask()
        with suppress(IsolationUnavailable):
            self._send({"op": "kill", "id": ident, "pid": pid, "signal": int(number)})
            try:
                self._wait(asked, _KILL_S)
            except IsolationUnavailable:
                self._kill_from_here(pid, number, asked)

    def hang_up(self) -> None:
        """Have it end, with all that it has forked."""
        if self._sock is not None:
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it and all that it has forked; wait for that."""
        self.hang_up()
        process = self._process
        if process is not None:
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def discard(self) -> None:
        """End it, and nothing else: its directory stays, others work there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    # -- inside ------------------------------------------------------------------------------------

    _home: ClassVar[str | None] = None

    def _program(self) -> list[str]:
        return [sys.executable, "-P", "-m", "flow_kernel.workers.zygote"]

    def _environment(self) -> dict[str, str]:
        return {**self._env, "PYTHONPATH": os.pathsep.join(search_path())}

    def _kill_from_here(self, pid: int, number: int, asked: Future[Any]) -> None:
        process, zygote = self._children.get(pid), self.pid
        if process is None or zygote is None or not self.is_alive:
            return
        with suppress(OSError):
            os.kill(zygote, signal.SIGCONT)
        try:
            self._wait(asked, _KILL_S)
        except IsolationUnavailable:
            # What it has not reaped is its child: the number means no other process.
            if pid not in sweep.children(zygote):
                return
            with suppress(OSError):
                os.killpg(pid, number)
            if number == signal.SIGKILL:
                process.end(Ended(returncode=-signal.SIGKILL))

    def _ask(self) -> tuple[str, Future[Any]]:
        asked: Future[Any] = Future()
        with self._lock:
            self._count += 1
            self._asked[str(self._count)] = asked
            return str(self._count), asked

    def _send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        with self._lock:
            if self._sock is None or self._is_gone:
                raise IsolationUnavailable("the zygote is gone")
            try:
                wire.send(self._sock, message, fds)
            except OSError as error:
                raise IsolationUnavailable(f"the zygote cannot be reached: {error}") from None

    def _wait(self, future: Future[Any], timeout_s: float) -> Any:
        try:
            return future.result(timeout_s)
        except TimeoutError:
            raise IsolationUnavailable("the zygote does not answer") from None

    def _hear(self) -> None:
        sock = self._sock
        while sock is not None:
            try:
                message, _ = wire.receive(sock)
            except OSError:
                break
            except ValueError:
                continue
            if message is None:
                break
            self._take(message)
        with self._lock:
            self._is_gone = True
        if sock is not None:
            sock.close()
        gone = IsolationUnavailable("the zygote is gone")
        for future in (self._ready, *self._asked.values()):
            if not future.done():
                future.set_exception(gone)
        # The system kills them with it; nobody is left who could say how they ended.
        for process in self._children.values():
            process.end(Ended(returncode=-signal.SIGKILL))

    def _take(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "ready":
                self._ready.set_result(message["threads"])
            case "forked":
                self._begin(message["id"], message["pid"])
            case "refused":
                error = IsolationUnavailable(f"zygote refused: {message['reason']}")
                if (asked := self._no_more_asked(message["id"])) is not None:
                    asked.set_exception(error)
            case "killed":
                if (asked := self._no_more_asked(message["id"])) is not None:
                    asked.set_result(None)
            case "exited":
                ended = Ended(
                    returncode=os.waitstatus_to_exitcode(message["status"]),
                    peak_rss_bytes=message["peak_rss_bytes"],
                    cpu_s=message["cpu_s"],
                )
                process = self._children.pop(message["pid"], None)
                if process is not None:
                    process.end(ended)

    def _begin(self, number: str, pid: int) -> None:
        process = ForkedProcess(self, pid)
        self._children[pid] = process
        asked = self._no_more_asked(number)
        if asked is not None:
            asked.set_result(process)
            return
        # Forked for somebody who has given it up: nobody else would ever end it.
        kill = {"op": "kill", "id": _NOBODY, "pid": pid, "signal": int(signal.SIGKILL)}
        with suppress(IsolationUnavailable):
            self._send(kill)

    def _no_more_asked(self, number: str) -> "Future[Any] | None":
        with self._lock:
            return self._asked.pop(number, None)
