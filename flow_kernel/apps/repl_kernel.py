"""One kernel process of `jupyter flow repl` and the sockets to it.

Called by `repl_session`, which waits on `sockets` and `pidfd` and decides what to do.

The kernel lives in a folder of its own with its sockets and its connection file. The file has the
same name for each kernel of one run: by it a new kernel knows the task that the last one left open.
It ends with us: it watches its parent, also when that is killed.
"""

import os
import signal
import time
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Final

import zmq
from jupyter_client.manager import KernelManager

from flow_kernel.apps.kernelspec import private_transport
from flow_kernel.apps.repl_events import EventFilter
from flow_kernel.apps.repl_pipes import Ended, Signals
from flow_kernel.errors import FlowError
from flow_kernel.records.lease import owned
from flow_kernel.records.process import oom_kills

START_S: Final = 60.0
STOP_S: Final = 3.0
_DIED_S: Final = 5.0
_ASK_AGAIN_S: Final = 1.0
_RECONNECT_MS: Final = 10
_KEY_BYTES: Final = 32
_MESSAGES: Final = 500

Message = dict[str, Any]


class NotStarted(FlowError):
    """The kernel did not become ready."""


class ReplKernel:
    """A running kernel.

    Args:
        folder: A new directory for its sockets.
        name: Of the kernelspec.
        label: Name of its connection file.
        env: Its environment.
        stderr: Where its own words go; a descriptor.
    """

    def __init__(
        self, folder: Path, name: str, *, label: str, env: Mapping[str, str], stderr: int
    ) -> None:
        self._context = zmq.Context()
        # By default messages are dropped when a thousand of them wait to be read.
        self._context.setsockopt(zmq.RCVHWM, 0)
        self._context.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        self.oom_before: dict[str, int] = oom_kills()
        self.events: EventFilter = EventFilter()
        self.home: Path | None = None
        self.sockets: dict[str, zmq.Socket[bytes]] = {}
        self.is_ours: bool = False
        self.pidfd: int = -1
        self._manager = KernelManager(
            kernel_name=name,
            connection_file=str(folder / label),
            context=self._context,
            **private_transport(folder),
        )
        self._session = self._manager.session
        # A socket that keeps frames alive after it was closed would cost a thread.
        self._session.copy_threshold = 1 << 40
        try:
            self._manager.start_kernel(env=owned(env), stdout=stderr, stderr=stderr)
            self.pidfd = os.pidfd_open(self._process.pid)
        except BaseException:
            self.close()
            raise
        # A request for input comes to the stdin socket that has the identity of the shell socket.
        identity = self._session.bsession
        self.sockets = {
            "iopub": self._manager.connect_iopub(),
            "shell": self._manager.connect_shell(identity=identity),
            "stdin": self._manager.connect_stdin(identity=identity),
            "control": self._manager.connect_control(identity=identity),
        }

    @property
    def _process(self) -> Any:
        return self._manager.provisioner.process

    def wait_until_ready(self, signals: Signals, *, is_first: bool) -> None:
        """Return when the kernel answers on all channels, and its events are listened to.

        Args:
            signals: May end the wait.
            is_first: Nothing is lost yet, so a Ctrl-C means the end, too.

        Raises:
            NotStarted: It ended, or took too long.
            Ended: A signal came first.
        """
        deadline = time.monotonic() + START_S
        # Both are answered by the same thread, in this order; a kernel that knows nothing of us
        # answers the second alone.
        register = self.send("control", "flow_request", {"op": "register"})
        control = self.send("control", "kernel_info_request", {})
        waiting = {"control", "shell", "iopub"}
        poller = zmq.Poller()
        for waited in (*self.sockets.values(), self.pidfd, signals.fd):
            poller.register(waited, zmq.POLLIN)
        shell, asked_at = "", 0.0
        while waiting:
            now = time.monotonic()
            if now > deadline:
                raise NotStarted(f"the kernel did not answer within {START_S:.0f} s")
            if now > asked_at + _ASK_AGAIN_S:
                shell, asked_at = self.send("shell", "kernel_info_request", {}), now
            ready = dict(poller.poll(100))
            signals.drain()
            if signals.is_ending or (signals.take_interrupt() and is_first):
                raise Ended
            for channel, message in self.receive(ready):
                parent = message["parent_header"].get("msg_id")
                if channel == "iopub" or parent in (control, shell):
                    waiting.discard(channel)
                elif parent == register:
                    self._listen(message["content"])
            if self.pidfd in ready:
                code = self.exit_code()
                raise NotStarted(f"the kernel ended while it started (exit code {code})")

    def _listen(self, reply: Mapping[str, Any]) -> None:
        data = reply.get("data")
        if reply.get("ok") is not True or not isinstance(data, dict):
            return
        self.is_ours = True
        if isinstance(data.get("home"), str):
            self.home = Path(data["home"])
        try:
            key = bytes.fromhex(data["key"])
            session, nonce, seq = data["session"], data["nonce"], data.get("seq", 0)
        except (KeyError, TypeError, ValueError):
            return
        if len(key) == _KEY_BYTES and isinstance(seq, int):
            self.events = EventFilter(key=key, session=str(session), nonce=str(nonce), latest=seq)

    def send(
        self,
        channel: str,
        kind: str,
        content: Mapping[str, Any],
        *,
        parent: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Send a message; returns its id."""
        message = self._session.msg(kind, dict(content), parent=parent, metadata=metadata)
        self._session.send(self.sockets[channel], message)
        return str(message["header"]["msg_id"])

    def execute(self, code: str, *, allow_stdin: bool, is_isolated: bool = False) -> str:
        """Send a cell; returns the id of the request."""
        return self.send(
            "shell",
            "execute_request",
            {
                "code": code,
                "silent": False,
                "store_history": True,
                "user_expressions": {},
                "allow_stdin": allow_stdin,
                "stop_on_error": False,
            },
            metadata={"flow": {"isolated": True}} if is_isolated else None,
        )

    def receive(self, ready: Container[object]) -> list[tuple[str, Message]]:
        """Messages on the sockets in `ready`, with their channels; output before replies."""
        found: list[tuple[str, Message]] = []
        for channel, socket in self.sockets.items():
            for _ in range(_MESSAGES if socket in ready else 0):
                try:
                    _, message = self._session.recv(socket)
                except (ValueError, TypeError, KeyError):  # a cell has written to the sockets
                    continue
                if message is None:
                    break
                if isinstance(message["content"], dict):
                    found.append((channel, message))
        return found

    def wait(self, timeout_ms: int) -> Container[object]:
        """The sockets with messages, after `timeout_ms` at most."""
        poller = zmq.Poller()
        for socket in self.sockets.values():
            poller.register(socket, zmq.POLLIN)
        return dict(poller.poll(timeout_ms))

    def interrupt(self) -> None:
        """Interrupt the running cell and what it started in the foreground."""
        try:
            self._manager.interrupt_kernel()
        except (ProcessLookupError, RuntimeError):  # it has just ended
            return

    def kill(self) -> None:
        """End the kernel and its group now."""
        try:
            self._manager.signal_kernel(signal.SIGKILL)
        except (ProcessLookupError, RuntimeError):  # it has just ended
            return

    def exit_code(self) -> int | None:
        """Its exit status, once it has ended; None when that is not learned in time."""
        poller = zmq.Poller()
        poller.register(self.pidfd, zmq.POLLIN)
        poller.poll(int(_DIED_S * 1000))
        code = self._process.poll()
        return code if isinstance(code, int) else None

    def stop(self, *, is_busy: bool) -> None:
        """Ask the kernel to end, and make it end when it does not.

        Args:
            is_busy: A cell runs; it is interrupted, because a kernel ends between cells.
        """
        if self.sockets and self._process.poll() is None:
            self.send("control", "shutdown_request", {"restart": False})
            if is_busy:
                self.interrupt()
            poller = zmq.Poller()
            poller.register(self.pidfd, zmq.POLLIN)
            poller.poll(int(STOP_S * 1000))
        self.close()

    def close(self) -> None:
        """Give everything back; a kernel that still runs is killed. Harmless the second time."""
        sockets, self.sockets = self.sockets, {}
        for socket in sockets.values():
            socket.close(0)
        if self._manager.has_kernel:
            self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        self._context.destroy(0)
