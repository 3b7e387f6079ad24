"""A live kernel and the fastest client it can have: bare ZeroMQ sockets, signed messages.

Called by the benchmarks that time cells, and by `peers.py`.

The kernel is started straight from the `argv` of a kernelspec with a connection file of our own,
so no manager, provisioner or thread of a client stands between the clock and the kernel. A cell is
over when both its reply and its `idle` status have arrived.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
import zmq


def _argv(kernelspec: Path) -> tuple[str, ...]:
    """The command line that clients read in a kernelspec, run by this interpreter."""
    argv = json.loads(kernelspec.read_text(encoding="utf-8"))["argv"]
    return (sys.executable, *argv[1:])


STOCK: Final = _argv(Path(sys.prefix, "share/jupyter/kernels/python3/kernel.json"))
FLOW: Final = _argv(Path(__file__).parents[2] / "kernelspec" / "kernel.json")

_DELIMITER: Final = b"<IDS|MSG>"
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
# What a kernel must not inherit: it would change where it records, or what it imports.
_NOT_INHERITED: Final = ("FLOW_", "USE_SUBPROCESS_WORKER", "JPY_", "PYTEST_", "COVERAGE_", "PYTHON")


class KernelLostError(RuntimeError):
    """The kernel ended, or did not answer in time; the message holds the end of its stderr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One cell as its client saw it, in ms after the request was sent."""

    idle_ms: float
    reply_ms: float
    first_stream_ms: float | None
    status: str
    messages: int


class Client:
    """The front-end's side of one kernel. Not thread-safe."""

    def __init__(self, connection: Mapping[str, object]) -> None:
        key = str(connection["key"]).encode()
        self._mac = hmac.new(key, digestmod=hashlib.sha256)
        self._session = uuid.uuid4().hex
        self._count = 0
        self._context = zmq.Context()
        self.shell = self._connect(connection, "shell_port", zmq.DEALER)
        self.control = self._connect(connection, "control_port", zmq.DEALER)
        self.iopub = self._connect(connection, "iopub_port", zmq.SUB)
        self._poller = zmq.Poller()
        self._poller.register(self.shell, zmq.POLLIN)
        self._poller.register(self.iopub, zmq.POLLIN)

    def _connect(
        self, connection: Mapping[str, object], port: str, kind: int
    ) -> "zmq.Socket[bytes]":
        made = self._context.socket(kind)
        made.linger = 0
        made.reconnect_ivl = 2  # ms; the default of 100 would be added to a cold start at random
        made.rcvhwm = 0
        if kind == zmq.SUB:
            made.subscribe(b"")
        made.connect(f"tcp://127.0.0.1:{connection[port]}")
        return made

    def send(
        self,
        channel: "zmq.Socket[bytes]",
        kind: str,
        content: Mapping[str, object],
    ) -> bytes:
        """Sends one request; returns its id."""
        self._count += 1
        msg_id = f"{self._session}_{self._count}"
        header = {
            "msg_id": msg_id,
            "session": self._session,
            "username": "benchmark",
            "date": datetime.now(UTC),
            "msg_type": kind,
            "version": "5.5",
        }
        parts = [orjson.dumps(header), b"{}", b"{}", orjson.dumps(content)]
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        channel.send_multipart([_DELIMITER, mac.hexdigest().encode(), *parts])
        return msg_id.encode()

    def execute(self, code: str, *, timeout_s: float = 120, silent: bool = False) -> Timing:
        """Runs one cell and waits for its end.

        Raises:
            TimeoutError: It is not over after `timeout_s`.
        """
        started = time.perf_counter()
        return self.end(self.begin(code, silent=silent), started=started, timeout_s=timeout_s)

    def begin(self, code: str, *, silent: bool = False) -> bytes:
        """Sends one cell; returns its id."""
        content = {**cell_content(code), "silent": silent, "store_history": not silent}
        return self.send(self.shell, "execute_request", content)

    def end(self, msg_id: bytes, *, started: float, timeout_s: float = 120) -> Timing:
        """Waits for the end of the cell that `begin` has sent.

        Raises:
            TimeoutError: It is not over after `timeout_s`.
        """
        return self._follow(msg_id, started, timeout_s)

    def reply_at(
        self,
        kind: str,
        content: Mapping[str, object],
        *,
        timeout_s: float = 60,
        channel: str = "shell",
    ) -> float:
        """When the reply to a request came, by `time.perf_counter`; IOPub is not looked at.

        Raises:
            TimeoutError: No answer after `timeout_s`.
        """
        asked = self.shell if channel == "shell" else self.control
        msg_id = self.send(asked, kind, content)
        deadline = time.perf_counter() + timeout_s
        while (left_s := deadline - time.perf_counter()) > 0:
            if asked.poll(int(left_s * 1000)) and msg_id in b"".join(asked.recv_multipart()):
                return time.perf_counter()
        raise TimeoutError(f"no reply to {kind} after {timeout_s} s")

    def kernel_info(self, *, timeout_s: float = 60) -> Timing:
        """Asks who it is, and waits for the answer and for `idle`.

        Raises:
            TimeoutError: No answer after `timeout_s`.
        """
        started = time.perf_counter()
        return self._follow(self.send(self.shell, "kernel_info_request", {}), started, timeout_s)

    def _follow(self, msg_id: bytes, started: float, timeout_s: float) -> Timing:
        reply: list[bytes] | None = None
        reply_at = idle_at = stream_at = 0.0
        messages = 0
        while not (reply and idle_at):
            left_s = started + timeout_s - time.perf_counter()
            ready = dict(self._poller.poll(max(int(left_s * 1000), 0)))
            if not ready:
                raise TimeoutError(f"no end of {msg_id!r} after {timeout_s} s")
            if self.iopub in ready:
                for kind, content in self._drain(msg_id):
                    messages += 1
                    now = time.perf_counter()
                    if kind == "stream":
                        stream_at = stream_at or now
                    elif kind == "status" and b"idle" in content:
                        idle_at = now
            if self.shell in ready:
                frames = self.shell.recv_multipart()
                at = frames.index(_DELIMITER)
                if msg_id in frames[at + 3]:
                    reply_at = time.perf_counter()
                    reply = frames[at + 2 :]
        return Timing(
            idle_ms=(max(idle_at, reply_at) - started) * 1000,
            reply_ms=(reply_at - started) * 1000,
            first_stream_ms=(stream_at - started) * 1000 if stream_at else None,
            status=str(orjson.loads(reply[3]).get("status")),
            messages=messages,
        )

    def _drain(self, msg_id: bytes) -> Iterator[tuple[str, bytes]]:
        """The IOPub messages that are there and belong to `msg_id`."""
        with contextlib.suppress(zmq.Again):
            while True:
                frames = self.iopub.recv_multipart(zmq.NOBLOCK)
                at = frames.index(_DELIMITER)
                if msg_id in frames[at + 3]:
                    yield orjson.loads(frames[at + 2])["msg_type"], frames[at + 5]

    def close(self) -> None:
        """Closes the sockets."""
        self._context.destroy(linger=0)


class Kernel:
    """One kernel process with its client; a context manager that leaves nothing behind."""

    def __init__(
        self,
        argv: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> None:
        """Starts it.

        Args:
            argv: As in a kernelspec, with `{connection_file}`.
            folder: An empty directory: it becomes its working directory, home and IPython
                directory, so kernels share neither history nor records.
            env: More environment variables.
            wait: Return when it has answered once and its IOPub is heard.
        """
        self.folder = folder
        # Named as Jupyter Server does: Kishu takes the part after the dash for the kernel's id.
        path = folder / f"kernel-{uuid.uuid4()}.json"
        connection = _connection()
        path.write_text(json.dumps(connection), encoding="utf-8")
        path.chmod(0o600)
        self.client = Client(connection)
        self._stderr = (folder / "stderr.txt").open("wb")
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [part.format(connection_file=path) for part in argv],
            cwd=folder,
            env=environment(folder, env or {}),
            stdin=subprocess.DEVNULL,
            stdout=self._stderr,
            stderr=self._stderr,
            start_new_session=True,
        )
        if wait:
            try:
                self.wait_until_ready()
            except BaseException:
                self.close()
                raise

    def wait_until_ready(self, *, timeout_s: float = 60) -> None:
        """Returns when it answers and its IOPub messages arrive.

        Raises:
            KernelLostError: It does not, or it ended.
        """
        deadline = time.perf_counter() + timeout_s
        while time.perf_counter() < deadline:
            # The first answer may come before the subscription is known: then its idle is missed.
            with contextlib.suppress(TimeoutError):
                self.client.kernel_info(timeout_s=2)
                return
            if self.process.poll() is not None:
                break
        raise KernelLostError(f"{self.process.args!r} does not answer: {self.stderr_tail()}")

    def execute(self, code: str, *, timeout_s: float = 120, silent: bool = False) -> Timing:
        """Runs one cell that has to succeed.

        Raises:
            KernelLostError: It failed, or it is not over in time.
        """
        try:
            timing = self.client.execute(code, timeout_s=timeout_s, silent=silent)
        except TimeoutError as error:
            raise KernelLostError(f"{error}: {self.stderr_tail()}") from error
        if timing.status != "ok":
            raise KernelLostError(f"the cell {code[:60]!r} ended with {timing.status}")
        return timing

    def cpu_ms(self) -> float:
        """CPU time of all its threads so far, with nanoseconds behind it."""
        # The clock id of another process: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of Linux.
        return time.clock_gettime_ns((~self.process.pid << 3) | 2) / 1e6

    def rss_bytes(self) -> int:
        """Its resident memory now."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(statm.split()[1]) * _PAGE_BYTES

    def stderr_tail(self) -> str:
        """The last 500 characters that it wrote to its own stdout and stderr."""
        return (self.folder / "stderr.txt").read_text(encoding="utf-8", errors="replace")[-500:]

    def close(self) -> None:
        """Asks it to end, kills its process group if it does not."""
        with contextlib.suppress(zmq.ZMQError):
            self.client.send(self.client.control, "shutdown_request", {"restart": False})
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, 9)
            self.process.wait(timeout=5)
        self.client.close()
        self._stderr.close()

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def cell_content(code: str) -> dict[str, object]:
    """The content of the execute_request that a notebook sends for `code`."""
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }


def environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """An environment in which nothing of the user's own set-up is read or written."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
    private = {
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "FLOW_HOME": str(folder / ".flow"),
    }
    return {**kept, **private, **more}


def _connection() -> dict[str, object]:
    ports = _free_ports(5)
    names = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
    return {
        **dict(zip(names, ports, strict=True)),
        "transport": "tcp",
        "ip": "127.0.0.1",
        "signature_scheme": "hmac-sha256",
        "key": secrets.token_hex(16),
        "kernel_name": "benchmark",
    }


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(listener.getsockname()[1])
        return found
