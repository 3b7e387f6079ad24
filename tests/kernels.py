"""Real kernels for the tests: start one, drive it as a front end does, read what came back.

Called by the fixtures of `tests/conftest.py` and by tests that need a kernel of their own.

A kernel gets its own folder with everything it may touch (working directory, home of records,
IPython directory, ipc sockets), so tests share nothing and leave nothing. Messages are built by
hand on raw sockets: metadata, several requests in flight and the order of arrival are part of what
is tested.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import zmq
from jupyter_client import KernelManager

from tests.environments import environment
from tests.logs import TaskLogs
from tests.replies import Message, Ran
from tests.rest import Settled

if TYPE_CHECKING:
    from tests.forked import Zygote

FLOW = os.environ.get("FLOW_TEST_KERNEL", "flow")
"""The kernel under test; with `FLOW_TEST_KERNEL=python3` all comparisons have to be equal."""
STOCK = "python3"
DEADLINE_S = 20.0
"""Longest wait for one event; reached only when something is broken."""


class KernelDied(RuntimeError):
    """The process ended while the test waited for a message; carries its exit code."""

    def __init__(self, name: str, code: int | None, said: str) -> None:
        super().__init__(f"{name} ended with {code}: {said[-2000:]}")
        self.code = code


class Kernel:
    """One kernel process and the front end that talks to it.

    Args:
        name: Name of the kernelspec.
        home: Home of records; its own folder by default.
        env: Variables to set (or to remove, when None) over a cleaned copy of our environment.
        arguments: Further command line arguments of the kernel.
        zygote: What forks it; by default `warm`, for a kernel under test.
        is_cold: Started as front ends start one, as it is where `env` has what Python reads then.
    """

    warm: ClassVar["Zygote | None"] = None
    """What forks kernels under test in a run of tests; the fixtures see to it."""

    def __init__(
        self,
        name: str = FLOW,
        *,
        home: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        arguments: Sequence[str] = (),
        zygote: "Zygote | None" = None,
        is_cold: bool = False,
    ) -> None:
        self.name = name
        is_cold |= any(each.startswith(("PYTHON", "LANG", "LC_", "TZ")) for each in env or {})
        self._zygote = None if is_cold or name != "flow" else zygote or self.warm
        # Short, because the path of a unix socket holds 107 bytes.
        self.root = Path(tempfile.mkdtemp(prefix="fk"))
        self.cwd = self.root / "work"
        self.cwd.mkdir()
        self.home = home or self.root / "home"
        self.logs = TaskLogs(self.home)
        self.iopub: list[Message] = []
        self.heard: list[Message] = []
        self._of: dict[str, list[Message]] = {}
        self.replies: dict[str, Message] = {}
        self.inputs: list[Message] = []
        self._idle: set[str] = set()
        self._is_ready = False
        self._is_welcome = False
        self._is_closed = False
        self._context = zmq.Context()
        self.arguments = list(arguments)
        self.env: dict[str, str] = environment(
            {"FLOW_HOME": str(self.home), "IPYTHONDIR": str(self.root / "ipython")}
            | dict(env or {})
        )
        self._launch()

    def _launch(self) -> None:
        self.manager = KernelManager(
            kernel_name=self.name,
            transport="ipc",
            ip=str(self.root / "s"),
            connection_file=str(self.root / "c.json"),
            context=self._context,
        )
        self._start()
        self.session = self.manager.session
        # Large messages are copied: without a copy pyzmq starts a thread that lives for ever.
        self.session.copy_threshold = 1 << 40
        self.sockets: dict[str, zmq.Socket[bytes]] = {}

    def _start(self) -> None:
        if self._zygote is not None and self._zygote.is_alive:
            self.process: Any = self._zygote.start(self)
            return
        with (self.root / "output.txt").open("ab") as output:
            self.manager.start_kernel(
                cwd=str(self.cwd),
                env=dict(self.env),
                extra_arguments=self.arguments,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        # The manager's own, which it never uses here: it would connect at some time of its own.
        self.manager._close_control_socket()
        self.process = self.manager.provisioner.process

    def _connect(self) -> None:
        # Only to sockets that are there. One that is missing is tried again later: the kernel would
        # get a descriptor in the middle of a test that counts them, or that uses all of them up.
        ports = [self.root / f"s-{number}" for number in range(1, 6)]
        deadline = time.monotonic() + DEADLINE_S
        while not all(map(Path.exists, ports)):
            code = self.process.poll()
            if code is not None:
                raise KernelDied(self.name, code, self.said())
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not listen: {self.said()[-2000:]}")
            time.sleep(0.002)
        # A request for input travels to the stdin socket with the identity of the shell socket.
        identity = self.session.bsession
        self.sockets = {
            "shell": self.manager.connect_shell(identity=identity),
            "control": self.manager.connect_control(identity=identity),
            "stdin": self.manager.connect_stdin(identity=identity),
            "iopub": self.manager.connect_iopub(),
        }
        self._poller = zmq.Poller()
        for socket in self.sockets.values():
            self._poller.register(socket, zmq.POLLIN)
        self._channel = {socket: channel for channel, socket in self.sockets.items()}

    @property
    def pid(self) -> int:
        """Its process id."""
        return int(self.process.pid)

    def said(self) -> str:
        """What the process wrote to its own stdout and stderr."""
        return (self.root / "output.txt").read_text(encoding="utf-8", errors="replace")

    def ready(self) -> Self:
        """Wait until both the reply channel and the broadcast channel work.

        A thread of ipykernel opens a descriptor when it first publishes something; a test that
        counts descriptors has to print before.
        """
        if not self.sockets:
            self._connect()
        deadline = time.monotonic() + DEADLINE_S
        while not self._is_ready:
            msg_id = self.request("kernel_info_request", {})
            # The welcome says that the subscription works; without one, a status has to arrive.
            self._is_ready = self.wait(
                lambda i=msg_id: i in self._idle or (i in self.replies and self._is_welcome),
                timeout=1.0,
                fail=False,
            )
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} is not ready: {self.said()[-2000:]}")
        return self

    def request(
        self,
        kind: str,
        content: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
        channel: str = "shell",
        subshell: str | None = None,
    ) -> str:
        """Send one request; returns its msg_id."""
        message = self.session.msg(kind, dict(content), metadata=dict(metadata or {}))
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.session.send(self.sockets[channel], message)
        return str(message["header"]["msg_id"])

    def ask(self, kind: str, content: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Send one request and wait for its reply; returns the content."""
        self.ready()
        msg_id = self.request(kind, content, **options)
        self.wait(lambda: msg_id in self.replies)
        content = self.replies.pop(msg_id)["content"]
        return dict(content)

    def send(
        self,
        code: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        cell_id: str | None = None,
        silent: bool = False,
        store_history: bool = True,
        stop_on_error: bool = True,
        allow_stdin: bool = False,
        user_expressions: Mapping[str, str] | None = None,
        subshell: str | None = None,
    ) -> str:
        """Send one execute_request as JupyterLab does; returns its msg_id."""
        self.ready()
        sent = dict(metadata or {})
        if cell_id is not None:
            sent |= {"deletedCells": [], "recordTiming": False, "cellId": cell_id}
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": dict(user_expressions or {}),
            "allow_stdin": allow_stdin,
            "stop_on_error": stop_on_error,
        }
        return self.request("execute_request", content, metadata=sent, subshell=subshell)

    def collect(
        self, msg_id: str, *, answers: Iterable[str] = (), timeout: float = DEADLINE_S
    ) -> Ran:
        """Wait until an execute request is done and all of its output is here."""
        left = iter(answers)

        def done() -> bool:
            while self.inputs:
                self.inputs.pop(0)
                self.session.send(
                    self.sockets["stdin"],
                    self.session.msg("input_reply", {"value": next(left)}),
                )
            return msg_id in self.replies and msg_id in self._idle

        self.wait(done, timeout=timeout)
        reply = self.replies.pop(msg_id)
        self._idle.discard(msg_id)
        return Ran(msg_id, reply["content"], reply["metadata"], tuple(self._of.pop(msg_id, ())))

    def run(
        self, code: str, *, answers: Iterable[str] = (), timeout: float = DEADLINE_S, **options: Any
    ) -> Ran:
        """Run one cell to its end."""
        return self.collect(self.send(code, **options), answers=answers, timeout=timeout)

    def wait(
        self, happened: Callable[[], bool], *, timeout: float = DEADLINE_S, fail: bool = True
    ) -> bool:
        """Read messages until `happened()`.

        Raises:
            KernelDied: The process ended first.
            TimeoutError: It took longer than `timeout` seconds (only when `fail`).
        """
        deadline = time.monotonic() + timeout
        while not happened():
            left = deadline - time.monotonic()
            if left <= 0:
                if fail:
                    raise TimeoutError(f"{self.name} did not answer: {self.said()[-2000:]}")
                return False
            if not self.pump(min(left, 0.02)) and self.process.poll() is not None:
                raise KernelDied(self.name, self.process.returncode, self.said())
        return True

    def pump(self, timeout: float) -> bool:
        """Read what has arrived, after `timeout` seconds at most; True when there was something."""
        ready = self._poller.poll(timeout * 1000)
        for socket, _ in ready:
            _, message = self.session.recv(socket, 0)
            self._file(self._channel[socket], message)
        return bool(ready)

    def _file(self, channel: str, message: Message) -> None:
        parent = message["parent_header"].get("msg_id", "")
        if channel == "iopub":
            self.heard.append(message)
        if channel == "stdin":
            self.inputs.append(message)
        elif channel != "iopub":
            self.replies[parent] = message
        elif message["msg_type"] == "status":
            if message["content"]["execution_state"] == "idle":
                self._idle.add(parent)
        elif message["msg_type"] == "iopub_welcome":
            self._is_welcome = True
        elif message["msg_type"] != "execute_input":
            self.iopub.append(message)
            self._of.setdefault(parent, []).append(message)

    def stream(self, name: str = "stdout", *, parent: str | None = None) -> str:
        """All text seen so far on one stream, or that of one request."""
        return "".join(
            m["content"]["text"]
            for m in self.iopub
            if m["msg_type"] == "stream"
            and m["content"]["name"] == name
            and parent in (None, m["parent_header"].get("msg_id"))
        )

    def wait_for_text(self, text: str, name: str = "stdout") -> None:
        """Wait until a stream holds `text`."""
        self.wait(lambda: text in self.stream(name))

    def interrupted(self, code: str, **options: Any) -> Ran:
        """Run a cell that makes the file `begun`, and interrupt it then.

        A mark on stdout would not do: ipykernel swallows an interrupt that hits a flush.
        """
        mark = self.cwd / "begun"
        mark.unlink(missing_ok=True)
        msg_id = self.send(code, **options)
        self.wait(mark.exists)
        self.wait(Settled(self.pid))
        self.interrupt()
        return self.collect(msg_id)

    def interrupt(self) -> None:
        """SIGINT, as a front end's stop button sends it."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def fatal(self, code: str, **options: Any) -> int:
        """Run a cell that kills the kernel; returns the exit code."""
        msg_id = self.send(code, **options)
        try:
            self.wait(lambda: msg_id in self.replies)
        except KernelDied as death:
            return death.code or 0
        raise AssertionError(f"the cell did not kill the kernel: {self.replies[msg_id]}")

    def shutdown(self) -> None:
        """An orderly end, as a front end asks for it."""
        self.ready()
        self.request("shutdown_request", {"restart": False}, channel="control")
        self.process.wait(DEADLINE_S)

    def restart(self) -> Self:
        """Kill the process and start another one with the same folders."""
        self.kill()
        self._disconnect()
        self.iopub.clear()
        self.heard.clear()
        self._is_ready = self._is_welcome = False
        self._launch()
        return self

    def _disconnect(self) -> None:
        for socket in self.sockets.values():
            socket.close(0)
        self.manager.cleanup_connection_file()
        for port in self.root.glob("s-*"):
            port.unlink()

    def close(self) -> None:
        """Kill what is left of the process group and remove the folder."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            # Gone, or not yet the leader of its group.
            self.process.kill()
        self.process.wait(DEADLINE_S)
        self._disconnect()
        self._context.destroy(0)
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
