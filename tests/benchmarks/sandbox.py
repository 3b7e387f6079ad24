"""The WebSocket sandbox of a Jupyter Server: how soon a task begins, ends, and is heard.

Called by `run.py`. A real server in a process of its own and the real client; the peer is
`subprocess.Popen` with a pipe in this process, which has no server between.
"""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from harness import (
    Bench,
    Benchmark,
    Figure,
    Result,
    Target,
    alone,
    alternate,
    pairs_of,
    side_by_side,
)

from flow_kernel.sandbox import Sandbox, connect

_ASSIGNED: Final = Figure(
    name="sandbox_assigned",
    title="sandbox: a command until it is told that it has begun",
    unit="ms",
    target=Target(at_most=10),
)
_ECHO: Final = Figure(
    name="sandbox_echo",
    title="sandbox: `echo` until its end is told",
    unit="ms",
    target=Target(at_most=20),
)
_CELL: Final = Figure(
    name="sandbox_cell",
    title="sandbox: a cell in a new worker until its end is told",
    unit="ms",
    target=Target(at_most=20),
)
_LINE: Final = Figure(
    name="sandbox_line",
    title="sandbox: a printed line until a client has it",
    unit="ms",
    target=Target(at_most=10),
)
_ERRORS: Final = Figure(
    name="sandbox_errors",
    title="sandbox: errors of 100 connections at once, a command each",
    unit="errors",
    target=Target(at_most=0),
)
_POPEN: Final = "`subprocess.Popen`"
_REST_S: Final = 0.15
"""Between two tasks: the next worker is ready by then."""
_LINES: Final = (
    "import time\nfor _ in range({count}):\n"
    "    time.sleep(0.02); print(time.monotonic_ns(), flush=True)"
)


@contextmanager
def _server(bench: Bench) -> Iterator[tuple[str, str]]:
    """The address and the token of a server."""
    root, token = bench.folder("sandbox"), secrets.token_hex()
    env = {key: value for key, value in os.environ.items() if not key.startswith("FLOW_")}
    for name in ("CONFIG", "DATA", "RUNTIME"):
        env[f"JUPYTER_{name}_DIR"] = str(root / name.lower())
    env |= {"JUPYTER_TOKEN": token, "FLOW_HOME": str(root / "home")}
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--ServerApp.root_dir={root}"),
            "--ServerApp.jpserver_extensions=flow_kernel.apps.sandbox.extension=True",
        ],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _url(root / "runtime" / f"jpserver-{process.pid}.json"), token
    finally:
        process.terminate()
        process.wait(30)


def _url(known: Path) -> str:
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        try:
            url = str(json.loads(known.read_text("utf-8"))["url"])
            connect(url, "none")
        except (OSError, ValueError) as error:  # not there yet; ours is the refusal of the token
            if "refuses the connection" in str(error):
                return url
        except Exception:  # noqa: BLE001 - not yet
            pass
        time.sleep(0.05)
    raise TimeoutError("the server does not listen")


def _popen(source: str, program: str = "bash") -> tuple[float, float]:
    began_s = time.perf_counter()
    process = subprocess.Popen([program, "-c", source], stdout=subprocess.PIPE)
    started_s = time.perf_counter()
    process.communicate()
    return (started_s - began_s) * 1000, (time.perf_counter() - began_s) * 1000


def _task(client: Sandbox, command: str = "", code: str = "") -> tuple[float, float]:
    time.sleep(_REST_S)
    began_s = time.perf_counter()
    task = client.run(command, code=code)
    task.next()
    started_s = time.perf_counter()
    result = task.wait()
    if result.exit_code != 0:
        raise RuntimeError(f"the task failed: {result}")
    return (started_s - began_s) * 1000, (time.perf_counter() - began_s) * 1000


def _run(bench: Bench) -> list[Result]:
    turns = bench.count(40, 3)
    with _server(bench) as (url, token), connect(url, token) as client:
        _task(client, "echo warm")
        echo = alternate(
            turns, bench.rng,
            ours=lambda _: _task(client, "echo hi"), peer=lambda _: _popen("echo hi"),
        )  # fmt: skip
        cell = alternate(
            turns, bench.rng,
            ours=lambda _: _task(client, code="print('hi')")[1],
            peer=lambda _: _popen("print('hi')", sys.executable)[1],
        )  # fmt: skip
        lines = alternate(
            bench.count(6, 1), bench.rng,
            ours=lambda _: _lines_here(client), peer=lambda _: _lines_peer(),
        )  # fmt: skip
        errors = sum(_hundred(url, token) for _ in range(bench.count(3, 1)))
    return [
        side_by_side(_ASSIGNED, pairs_of([(a[0], b[0]) for a, b in echo]), peer=_POPEN),
        side_by_side(_ECHO, pairs_of([(a[1], b[1]) for a, b in echo]), peer=_POPEN),
        side_by_side(_CELL, pairs_of(cell), peer=f"{_POPEN} of a new Python"),
        side_by_side(
            _LINE,
            pairs_of([both for a, b in lines for both in zip(a, b, strict=True)]),
            peer=f"a pipe of {_POPEN}",
        ),
        alone(_ERRORS, [float(errors)]),
    ]


def _lines_here(client: Sandbox, count: int = 20) -> list[float]:
    task = client.run(code=_LINES.format(count=count))
    return [_age_ms(message.output) for message in task if message.stream == "stdout"]


def _lines_peer(count: int = 20) -> list[float]:
    program = [sys.executable, "-c", _LINES.format(count=count)]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        return [_age_ms(line) for line in process.stdout]


def _age_ms(line: str | bytes) -> float:
    return (time.monotonic_ns() - int(line)) / 1e6


def _hundred(url: str, token: str) -> int:
    """How many of a hundred clients at once did not get what they wanted."""
    failed: list[object] = []

    def one(number: int) -> None:
        try:
            with connect(url, token) as client:
                result = client.run(f"echo {number}").wait(60)
            if (result.exit_code, result.stdout) != (0, f"{number}\n"):
                failed.append(result)
        except Exception as error:  # noqa: BLE001 - counted
            failed.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(failed)


BENCHMARKS: Final = (Benchmark(name="sandbox", about="the WebSocket sandbox", run=_run),)
