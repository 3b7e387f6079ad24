"""A real Jupyter Server with the sandbox, in a process of its own, for tests and benchmarks.

Used by `tests/flows/test_sandbox*.py` and `tests/benchmarks/sandbox.py`: one server a module. It
has folders of its own for everything and listens on loopback at a port that the system chose.
"""

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import psutil
from jsonschema import Draft7Validator
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from flow_kernel.sandbox import Sandbox, connect
from tests.ends import kill_server
from tests.environments import environment
from tests.logs import TaskLogs
from tests.sandbox_page import schemas

if TYPE_CHECKING:
    from tests.forked import ForkedProcess, Zygote

DEADLINE_S: Final = 30.0
"""Longest wait for anything; reached only when something is broken."""
_END_S: Final = 10.0
_OTHERS: Final = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals", "notebook_shim")
"""They take a second to start."""
EXTENSION: Final = "flow_kernel.apps.sandbox.extension"


class SandboxServer:
    """See the module.

    Args:
        root: An empty folder for all files.
        options: Of the command line, besides.
        is_cold: Started as people start it, though there is what forks it.
    """

    warm: ClassVar["Zygote | None"] = None
    """What forks servers under test where a module wants it; the fixture `servers` sees to it."""

    def __init__(self, root: Path, *options: str, is_cold: bool = False) -> None:
        self._warm = None if is_cold else self.warm
        self.root = root
        self.work = root / "work"
        self.home = root / "home"
        self.token = secrets.token_hex()
        self._options = options
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        self.work.mkdir(parents=True)
        folders = {
            f"JUPYTER_{name.upper()}_DIR": str(self.root / name)
            for name in ("config", "data", "runtime")
        }
        env = environment({
            **folders, "JUPYTER_TOKEN": self.token, "FLOW_HOME": str(self.home),
            "IPYTHONDIR": str(self.root / "ipython"),
        })  # fmt: skip
        self.process = self._begin(env)
        self._ends.callback(self._end)
        try:
            self.url = self._listens()
        except BaseException:
            self._ends.close()
            raise
        return self

    def _begin(self, env: dict[str, str]) -> "subprocess.Popen[bytes] | ForkedProcess":
        words = (
            *("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port=0"),
            f"--ServerApp.root_dir={self.work}",
            f"--ServerApp.jpserver_extensions={EXTENSION}=True",
            *(f"--ServerApp.jpserver_extensions={name}=False" for name in _OTHERS),
            *self._options,
        )
        where = self.root / "server.txt"
        if self._warm is not None:
            program = "jupyter_server.serverapp"
            return self._warm.begin(*words, env=env, cwd=Path.cwd(), output=where, module=program)
        with where.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *words],
                env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rsplit(":", 1)[1].strip("/"))

    @property
    def logs(self) -> TaskLogs:
        """What it has recorded."""
        return TaskLogs(self.home)

    @property
    def said(self) -> str:
        """Its own log."""
        return (self.root / "server.txt").read_text("utf-8", errors="replace")

    def connect(self, **how: Any) -> Sandbox:
        """A client."""
        return connect(self.url, self.token, **how)

    def rss_bytes(self) -> int:
        """Of the server alone."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def _listens(self) -> str:
        known = self.root / "runtime" / f"jpserver-{self.process.pid}.json"
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                url = str(json.loads(known.read_text("utf-8"))["url"])
                port = int(url.rsplit(":", 1)[1].strip("/"))
                with socket.create_connection(("127.0.0.1", port)):
                    return url
            except (OSError, json.JSONDecodeError):  # not there, or half written, or not yet
                time.sleep(0.02)
        raise TimeoutError(f"the server does not listen: {self.said[-2000:]}")

    def _end(self) -> None:
        # Whoever kills those that kill what the server leaves may leave one that they have stopped.
        kill_server(self.process, grace_s=_END_S)


def wait_for(condition: Any, deadline_s: float = DEADLINE_S) -> None:
    """Wait until `condition()` is true."""
    until_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until_s, "it does not happen"
        os.sched_yield()
        time.sleep(0.005)


class Raw:
    """A client that says and hears single messages; each that it hears is as its schema says.

    Args:
        server: To connect to.
        headers: Of the handshake, in the place of the token.
    """

    def __init__(self, server: SandboxServer, headers: dict[str, str] | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._headers = headers or {"Authorization": f"token {server.token}"}
        url = server.url.replace("http", "ws", 1) + "flow/sandbox"
        request = HTTPRequest(url, headers=self._headers)
        try:
            self._connection = self._do(websocket_connect, request)
        except BaseException:
            self._loop.close()
            raise
        self._stream = self._connection.protocol.stream

    def _do(self, call: Any, *arguments: Any, **named: Any) -> Any:
        """Call something of the loop and wait for its end, bounded."""

        async def bounded() -> Any:
            async with asyncio.timeout(DEADLINE_S):
                return await call(*arguments, **named)

        return self._loop.run_until_complete(bounded())

    def say(self, said: dict[str, Any] | str | bytes) -> None:
        """Send a message."""
        data = json.dumps(said) if isinstance(said, dict) else said
        self._do(self._connection.write_message, data, binary=isinstance(data, bytes))

    def hear(self, *, may_beat: bool = False) -> dict[str, Any]:
        """The next message; signs of life only where they are wanted."""
        while True:
            data = self._do(self._connection.read_message)
            assert data is not None, "the connection is closed"
            said = checked(json.loads(data))
            if may_beat or said["type"] != "heartbeat":
                return said

    def hear_until(self, *kinds: str) -> list[dict[str, Any]]:
        """The next messages up to one of these types."""
        may_beat = "heartbeat" in kinds
        found = [self.hear(may_beat=may_beat)]
        while found[-1]["type"] not in kinds:
            found.append(self.hear(may_beat=may_beat))
        return found

    def ask(self, said: dict[str, Any] | str | bytes) -> dict[str, Any]:
        """Send a message; the next one that is heard."""
        self.say(said)
        return self.hear()

    def run(self, **order: Any) -> list[dict[str, Any]]:
        """All messages of a new task."""
        self.say({"type": "execute_command", **order})
        return self.hear_until("task_complete", "task_error")

    def cut(self) -> None:
        """Break the connection without a word."""
        self._stream.close()
        self.close()

    def close(self) -> None:
        """Disconnect."""

        async def end() -> None:
            self._connection.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while await self._connection.read_message() is not None:
                        pass
            self._stream.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for each in others:
                each.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        if not self._loop.is_closed():
            self._loop.run_until_complete(end())
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_SCHEMAS: Final = {name: Draft7Validator(one) for name, one in schemas("out").items()}


def checked(said: dict[str, Any]) -> dict[str, Any]:
    """A message of a server, which is as its schema says."""
    faults = [fault.message for fault in _SCHEMAS[said["type"]].iter_errors(said)]
    assert faults == [], f"{said}: {faults}"
    return said
