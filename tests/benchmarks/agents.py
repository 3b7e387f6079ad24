"""What the MCP server costs an agent, in time and in tokens, beside jupyter-mcp-server.

Called by `run.py`, and by hand to make the environment of the peer:

    python tests/benchmarks/agents.py

The official client speaks to both over stdio. The peer works in a notebook of a Jupyter Server that
runs beside it, with the stock kernel; where its environment was not made, ours stands alone.
Tokens are characters over four, of what a client hands to its model.
"""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import Bench, Benchmark, Figure, Pairs, Result, Target, alone, side_by_side
from live import environment
from peers import ENVIRONMENTS, set_up

if TYPE_CHECKING:
    from mcp import Client

_ENVIRONMENT: Final = "mcp"
_PEER: Final = "jupyter-mcp-server 2.2.4"
_FLOOD: Final = "for i in range(20_000): print('line', i)"
_ROUND_TRIP: Final = Figure(
    name="mcp_run_cell",
    title="run_cell of 1+1 over MCP",
    unit="ms",
    target=Target(at_most=25),
)
_START: Final = Figure(
    name="mcp_start",
    title="MCP server and its kernel, spawned until the first result",
    unit="ms",
    target=Target(at_most=1500),
)
_TOOLS: Final = Figure(
    name="mcp_definitions",
    title="definitions of the tools",
    unit="tokens",
    target=Target(at_most=3000),
)
_PRINT: Final = Figure(
    name="mcp_flood",
    title="characters that an agent is given for a print of 20,000 lines",
    unit="characters",
    target=Target(at_most=2400),
)
_FLIGHT: Final = Figure(
    name="mcp_in_flight",
    title="errors among 100 calls in flight",
    unit="errors",
    target=Target(at_most=0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """A server that is spoken to.

    Attributes:
        client: The official one, connected.
        tool: What runs code.
    """

    client: "Client"
    tool: str

    async def run(self, code: str) -> tuple[float, int, bool]:
        """Runs a cell: ms, characters of the answer, whether it failed."""
        started = time.perf_counter()
        result = await self.client.call_tool(self.tool, {"code": code}, 120)
        elapsed_ms = (time.perf_counter() - started) * 1000
        texts = [block.text for block in result.content if block.type == "text"]
        return elapsed_ms, sum(map(len, texts)), bool(result.is_error)

    async def tokens(self) -> float:
        """What its definitions cost."""
        listed = await self.client.list_tools()
        return len(listed.model_dump_json(by_alias=True, exclude_none=True)) / 4


@contextlib.asynccontextmanager
async def _ours(folder: Path) -> AsyncIterator[_Side]:
    """Our server in a folder, with a kernel of its own."""
    from mcp import Client, StdioServerParameters  # a second, which no other benchmark needs
    from mcp.client.stdio import stdio_client

    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "flow_kernel.apps.cli", "mcp", "--new"],
        env=environment(folder, {}),
        cwd=folder,
    )
    with (folder / "stderr.txt").open("w") as errors:
        async with Client(stdio_client(server, errlog=errors)) as client:
            yield _Side(client=client, tool="run_cell")


@contextlib.asynccontextmanager
async def _theirs(folder: Path, url: str, token: str) -> AsyncIterator[_Side]:
    """The peer on a Jupyter Server, which is there before the clock starts."""
    from mcp import Client, StdioServerParameters  # as in `_ours`
    from mcp.client.stdio import stdio_client

    server = StdioServerParameters(
        command=str(ENVIRONMENTS / _ENVIRONMENT / "bin" / "jupyter-mcp-server"),
        args=[
            *("start", "--transport", "stdio", "--document-id", "bench.ipynb"),
            *("--jupyter-url", url, "--jupyter-token", token),
        ],
        env=dict(os.environ),
        cwd=folder,
    )
    with (folder / "peer.txt").open("w") as errors:
        async with Client(stdio_client(server, errlog=errors), mode="legacy") as client:
            yield _Side(client=client, tool="execute_code")


@contextlib.contextmanager
def _jupyter_server(folder: Path) -> Iterator[tuple[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "bench.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    python = ENVIRONMENTS / _ENVIRONMENT / "bin" / "python"
    with (folder / "server.txt").open("wb") as log:
        server = subprocess.Popen(
            [
                *(str(python), "-m", "jupyter_server", "--no-browser", "--allow-root"),
                *(f"--port={port}", "--ip=127.0.0.1", f"--IdentityProvider.token={token}"),
                f"--ServerApp.root_dir={folder}",
            ],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", token
    finally:
        server.terminate()
        server.wait(30)


def _has_peer() -> bool:
    return (ENVIRONMENTS / _ENVIRONMENT / "bin" / "jupyter-mcp-server").exists()


def _both(bench: Bench, figure: Figure, measure: Callable[[_Side], Coroutine[Any, Any, float]],
          *, turns: int, peer_turns: int) -> list[Result]:  # fmt: skip
    """A figure of ours, and of the peer in turn, where it can be had."""

    async def run() -> Pairs:
        taken = Pairs()
        async with contextlib.AsyncExitStack() as stack:
            mine = await stack.enter_async_context(_ours(bench.folder("ours")))
            other = None
            if _has_peer():
                folder = bench.folder("peer")
                known = stack.enter_context(_jupyter_server(folder))
                other = await stack.enter_async_context(_theirs(folder, *known))
                await other.run("1+1")
            await mine.run("1+1")
            for turn in range(turns):
                taken.ours.append(await measure(mine))
                if other is not None and turn < peer_turns:
                    taken.peers.append(await measure(other))
        return taken

    taken = asyncio.run(run())
    if not taken.peers:
        return [alone(figure, taken.ours)]
    pairs = Pairs(taken.ours[: len(taken.peers)], taken.peers)
    return [side_by_side(figure, pairs, peer=_PEER)]


def round_trip(bench: Bench) -> list[Result]:
    """The smallest cell."""

    async def once(side: _Side) -> float:
        await asyncio.sleep(0.003)  # what a kernel does after its reply is not the next cell's
        return (await side.run("1+1"))[0]

    turns = bench.count(25, 3)
    return _both(bench, _ROUND_TRIP, once, turns=turns, peer_turns=turns)


def start(bench: Bench) -> list[Result]:
    """From nothing to the first result; the Jupyter Server of the peer runs already."""

    async def timed(side: contextlib.AbstractAsyncContextManager[_Side]) -> float:
        started = time.perf_counter()
        async with side as opened:
            await opened.run("1+1")
            return (time.perf_counter() - started) * 1000

    async def run() -> Pairs:
        taken = Pairs()
        for _ in range(bench.count(7, 1)):
            taken.ours.append(await timed(_ours(bench.folder("ours"))))
            if _has_peer():
                folder = bench.folder("peer")
                with _jupyter_server(folder) as known:
                    taken.peers.append(await timed(_theirs(folder, *known)))
        return taken

    taken = asyncio.run(run())
    if not taken.peers:
        return [alone(_START, taken.ours)]
    return [side_by_side(_START, taken, peer=_PEER)]


def definitions(bench: Bench) -> list[Result]:
    """What every conversation begins with."""
    return _both(bench, _TOOLS, _Side.tokens, turns=1, peer_turns=1)


def flood(bench: Bench) -> list[Result]:
    """A cell that prints far too much."""

    async def once(side: _Side) -> float:
        return float((await side.run(_FLOOD))[1])

    return _both(bench, _PRINT, once, turns=1, peer_turns=1)


def in_flight(bench: Bench) -> list[Result]:
    """A hundred calls at once."""

    async def run() -> float:
        async with _ours(bench.folder("ours")) as side:
            calls = [side.run(f"{n} * 2") for n in range(bench.count(100, 10))]
            answers = await asyncio.gather(*calls)
        return float(sum(failed for _, _, failed in answers))

    return [alone(_FLIGHT, [asyncio.run(run())])]


BENCHMARKS: Final = tuple(
    Benchmark(name=figure.name, about=figure.title, run=run)
    for figure, run in (
        (_ROUND_TRIP, round_trip),
        (_START, start),
        (_TOOLS, definitions),
        (_PRINT, flood),
        (_FLIGHT, in_flight),
    )
)


if __name__ == "__main__":
    set_up(_ENVIRONMENT)
