"""An agent at work over the Model Context Protocol: the official client, the real server.

Used by the flow tests of the server, by the scripted agent and by the benchmarks.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio
import mcp_types as types
import psutil
from anyio.from_thread import start_blocking_portal
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.ends import still_alive
from tests.environments import environment

if TYPE_CHECKING:
    from concurrent.futures import Future

LEGACY = "legacy"
MODERN = "2026-07-28"
ERAS = (LEGACY, MODERN)
_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool has answered."""

    said: dict[str, Any]
    text: str
    is_error: bool
    links: tuple[str, ...]


class Agent:
    """One server process and its client, in a thread with a loop.

    Args:
        arguments: Of the verb.
        mode: The era of the protocol.
        home: Of the records; its own by default.
        name: What the client calls itself.
        elicits: Answers what the server asks the person; without it the client cannot be asked.
        env: Variables to set.
    """

    def __init__(
        self,
        *arguments: str,
        mode: str = MODERN,
        home: Path | None = None,
        name: str = "tester",
        elicits: Callable[[str], Mapping[str, Any] | None] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="fm"))
        # Of its own: files of IPython that change meanwhile are none of the project.
        self.cwd = self.root / "work"
        self.cwd.mkdir()
        self.home = home or self.root / "home"
        self.asked: list[str] = []
        self.progress: list[tuple[float, str]] = []
        self._stack = ExitStack()
        self._portal = self._stack.enter_context(start_blocking_portal())
        self._errors = self._stack.enter_context((self.root / "err.txt").open("w"))
        self._elicits = elicits
        given = environment(
            {
                "FLOW_HOME": str(self.home),
                "IPYTHONDIR": str(self.root / "ipython"),
                **(env or {}),
            }
        )
        server = StdioServerParameters(
            command=sys.executable,
            args=["-m", "flow_kernel.apps.cli", "mcp", *arguments],
            env=given,
            cwd=self.cwd,
        )
        client = Client(
            stdio_client(server, errlog=self._errors),
            mode=mode,
            client_info=types.Implementation(name=name, version="1"),
            elicitation_callback=None if elicits is None else self._on_elicit,
        )
        known = {child.pid for child in psutil.Process().children()}
        self._client: Client = self._stack.enter_context(
            self._portal.wrap_async_context_manager(client)
        )
        # A process that has just begun has no command line for a moment.
        deadline_s = time.monotonic() + _DEADLINE_S
        servers: list[psutil.Process] = []
        while not servers:
            assert time.monotonic() < deadline_s
            servers = [
                child
                for child in psutil.Process().children()
                if child.pid not in known and "mcp" in child.cmdline()
            ]
        self.server = servers[0]

    async def _on_elicit(self, _context: Any, params: Any) -> types.ElicitResult:
        self.asked.append(params.message)
        assert self._elicits is not None
        content = await anyio.to_thread.run_sync(self._elicits, params.message)
        if content is None:
            return types.ElicitResult(action="decline")
        return types.ElicitResult(action="accept", content=dict(content))

    @property
    def version(self) -> str:
        """The revision of the protocol that was agreed on."""
        return str(self._client.protocol_version)

    def call(self, tool: str, **arguments: Any) -> Answer:
        """Call a tool and wait for its answer."""
        return self.begin(tool, **arguments).result(_DEADLINE_S)

    def begin(self, tool: str, **arguments: Any) -> "Future[Answer]":
        """Call a tool; to cancel the future is to cancel the call."""
        return self._portal.start_task_soon(self._call, tool, arguments)

    async def _call(self, tool: str, arguments: dict[str, Any]) -> Answer:
        result = await self._client.call_tool(tool, arguments, progress_callback=self._on_progress)
        texts = [block.text for block in result.content if isinstance(block, types.TextContent)]
        links = tuple(str(b.uri) for b in result.content if isinstance(b, types.ResourceLink))
        said = json.loads(texts[0])
        assert result.structured_content is None
        return Answer(said, texts[0], bool(result.is_error), links)

    async def _on_progress(self, done: float, _total: float | None, message: str | None) -> None:
        self.progress.append((done, message or ""))

    def tools(self) -> types.ListToolsResult:
        """The tools as they are listed."""
        return self._portal.call(self._client.list_tools)

    def read(self, uri: str) -> str:
        """The text of a resource."""
        result = self._portal.call(self._client.read_resource, uri)
        content = result.contents[0]
        assert isinstance(content, types.TextResourceContents)
        return content.text

    def run(self, code: str, **options: Any) -> dict[str, Any]:
        """Run a cell; what came of it."""
        return self.call("run_cell", code=code, **options).said

    def kernel_pid(self) -> int:
        """The kernel that is worked in."""
        pid = self.call("run_status").said["pid"]
        assert isinstance(pid, int)
        return pid

    def remarks(self) -> str:
        """What the server said on stderr."""
        return (self.root / "err.txt").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """Kill the server, as a power cut would."""
        children = self.server.children(recursive=True)
        self.server.send_signal(signal.SIGKILL)
        still_alive([self.server, *children], _DEADLINE_S)

    def close(self) -> None:
        """End client and server."""
        children: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):  # it was killed, and may be fetched just now
            children = self.server.children(recursive=True)
        try:
            self._stack.close()
        finally:
            still_alive([self.server, *children], _DEADLINE_S)
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def document(answer: types.ListToolsResult) -> str:
    """What a client is sent for a list of tools, as JSON."""
    return answer.model_dump_json(by_alias=True, exclude_none=True)


def approve(home: Path, approval_id: str, verb: str = "approve") -> None:
    """Answer a question as a person does elsewhere."""
    words = [verb, approval_id, "--as", "ann", "--home", str(home), "--json"]
    subprocess.run(
        [sys.executable, "-m", "flow_kernel.apps.cli", *words],
        env=environment({}),
        capture_output=True,
        check=True,
    )
