"""A client of the Model Context Protocol by hand: what the official one would never send.

Used by the flow tests of the server for messages that no client should send, but some do.
"""

import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

import psutil

from tests.ends import still_alive
from tests.environments import environment

_DEADLINE_S = 30.0


class RawAgent:
    """One server process, and the lines that go in and come out.

    Args:
        arguments: Of the verb.
        env: Variables to set.
    """

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fm"))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flow_kernel.apps.cli", "mcp", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.root,
            env=environment(
                {
                    "FLOW_HOME": str(self.root / "home"),
                    "IPYTHONDIR": str(self.root / "ipython"),
                    **(env or {}),
                }
            ),
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._count = 0
        self._is_deaf = False
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
            if self._is_deaf:
                return

    def hello(self) -> None:
        """Begin, as every client does."""
        about = {"name": "raw", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about}
        self.ask("initialize", params)
        self.send('{"jsonrpc": "2.0", "method": "notifications/initialized"}')

    def send(self, line: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        return self.answer(self.begin(method, params))

    def begin(self, method: str, params: Any) -> int:
        """Send a request; its id."""
        self._count += 1
        body = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}
        self.send(json.dumps(body))
        return self._count

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool and wait for its answer."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def answer(self, asked: int) -> dict[str, Any]:
        """The answer to the request of that id."""
        while True:
            found: dict[str, Any] = json.loads(self._lines.get(timeout=_DEADLINE_S))
            if found.get("id") == asked and "method" not in found:
                return found

    def stop_reading(self) -> None:
        """Take one line more, and then none, though the pipe stays open."""
        self._is_deaf = True
        self.ask("ping", {})
        self._thread.join(_DEADLINE_S)

    def close_stdin(self) -> None:
        """Say that nothing more comes."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def close(self) -> list[psutil.Process]:
        """Close stdin; the processes that are left when the server has ended."""
        server = psutil.Process(self.process.pid)
        children = server.children(recursive=True)
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(_DEADLINE_S)
        left = still_alive(children, _DEADLINE_S)
        self._tidy()
        return left

    def _tidy(self) -> None:
        self._thread.join(_DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.close()
        elif self.root.exists():
            self._tidy()
