"""What the lines of `jupyter flow repl` cost, beside a program that speaks to the kernel itself.

Called by `run.py`. Both sides run a Flow kernel of their own, alive together, cell by cell in turn.
The peer is the loop that a program writes with jupyter_client: execute, wait for the reply, read
IOPub until idle.
"""

import contextlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

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
from jupyter_client.manager import KernelManager
from live import environment

_PEER: Final = "a loop with jupyter_client, on the same kernel"
_REST_S: Final = 0.003
_ROUND_TRIP: Final = Figure(
    name="repl_round_trip",
    title="1+1 through jupyter flow repl",
    unit="ms",
    target=Target(at_most=1.1, of="ratio"),
)
_FLOOD: Final = Figure(
    name="repl_10mb", title="10 MB of prints through jupyter flow repl, streamed", unit="ms"
)
_RELEASE: Final = Figure(
    name="repl_release",
    title='{"approve": …} until the waiting cell has its answer',
    unit="ms",
    target=Target(at_most=25),
)


class Repl:
    """A process of the verb that is spoken to over pipes."""

    def __init__(self, folder: Path) -> None:
        self._errors = (folder / "stderr.txt").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flow_kernel.apps.cli", "repl"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=folder,
            # The kernelspec is found in the environment of this interpreter.
            env=environment(folder, {}),
        )

    def say(self, **request: object) -> None:
        """Sends one request."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def until(self, key: str) -> dict[str, Any]:
        """The next object that has `key`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said: dict[str, Any] = json.loads(line)
            if key in said:
                return said
        raise RuntimeError("the session ended")

    def run(self, code: str, **options: object) -> float:
        """Runs a cell that has to succeed; ms until its answer."""
        started = time.perf_counter()
        self.say(code=code, **options)
        said = self.until("success")
        elapsed_ms = (time.perf_counter() - started) * 1000
        if not said["success"]:
            raise RuntimeError(str(said["error"]))
        return elapsed_ms

    def close(self) -> None:
        """Ends the session."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
        self._errors.close()


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[Callable[[str], float]]:
    """Runs a cell in a kernel of its own with jupyter_client; ms until reply and idle are here."""
    manager = KernelManager(kernel_name="flow", transport="ipc", ip=str(folder / "s"))
    with (folder / "stderr.txt").open("wb") as errors:
        manager.start_kernel(
            env=environment(folder, {}), cwd=str(folder), stdout=errors, stderr=errors
        )
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)

        def run(code: str) -> float:
            started = time.perf_counter()
            msg_id = client.execute(code)
            client.get_shell_msg(timeout=60)
            while True:
                message = client.get_iopub_msg(timeout=60)
                if (
                    message["parent_header"].get("msg_id") == msg_id
                    and message["content"].get("execution_state") == "idle"
                ):
                    return (time.perf_counter() - started) * 1000

        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _beside(bench: Bench, figure: Figure, code: str, *, turns: int, **options: object) -> Result:
    repl = Repl(bench.folder("repl"))
    try:
        with _bare(bench.folder("bare")) as bare:
            for _ in range(bench.count(30, 2)):
                repl.run(code, **options)
                bare(code)
            taken = alternate(
                turns,
                bench.rng,
                ours=lambda _: _rested(lambda: repl.run(code, **options)),
                peer=lambda _: _rested(lambda: bare(code)),
            )
    finally:
        repl.close()
    return side_by_side(figure, pairs_of(taken), peer=_PEER)


def _rested(sample: Callable[[], float]) -> float:
    time.sleep(_REST_S)  # what a kernel does after its reply is not the next cell's
    return sample()


def round_trip(bench: Bench) -> list[Result]:
    """The smallest cell."""
    return [_beside(bench, _ROUND_TRIP, "1+1", turns=bench.count(400, 3))]


def flood(bench: Bench) -> list[Result]:
    """Much output, in pieces."""
    code = "for _ in range(100): print('x' * 100_000)"
    return [_beside(bench, _FLOOD, code, turns=bench.count(20, 2), stream=True)]


def release(bench: Bench) -> list[Result]:
    """A cell waits for the answer to a question."""
    repl = Repl(bench.folder("repl"))
    numbers = itertools.count(1)

    def once() -> float:
        number = next(numbers)
        repl.say(code=f"get_ipython().run_line_magic('approve', 'Question {number}')")
        repl.until("input_request")
        started = time.perf_counter()
        repl.say(approve=f"A-{number:04}", decision="yes")
        repl.until("success")
        return (time.perf_counter() - started) * 1000

    try:
        samples = [_rested(once) for _ in range(bench.count(60, 2))]
    finally:
        repl.close()
    return [alone(_RELEASE, samples[bench.count(5, 0) :])]


BENCHMARKS: Final = tuple(
    Benchmark(name=figure.name, about=figure.title, run=run)
    for figure, run in ((_ROUND_TRIP, round_trip), (_FLOOD, flood), (_RELEASE, release))
)
