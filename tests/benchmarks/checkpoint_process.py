"""The processes of the checkpoint tools, as the driver sees them.

Called by `checkpoints.py` and `checkpoint_measures.py`.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import psutil
from live import environment
from peers import ENVIRONMENTS, HERE, pinned, set_up

_DEADLINE_S: Final = 900.0
_ROOT: Final = HERE.parent.parent


class ToolFailedError(RuntimeError):
    """A tool refused a request, or its process ended; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolKind:
    """A tool that can be measured.

    Attributes:
        name: For programs.
        title: The head of its column.
        environment: Of the interpreter; None for the one that runs this.
        script: Under this folder.
        argument: Of the script.
        slow: How many of its samples are enough, because one takes seconds; None for all.
        saves_each_cell: False for tools that only ever keep everything.
    """

    name: str
    title: str
    environment: str
    script: str
    argument: str = ""
    slow: int | None = None
    saves_each_cell: bool = True


FLOW: Final = ToolKind(
    name="flow", title="flow", environment="checkpoint-flow", script="checkpoint_flow.py"
)
PLAIN: Final = replace(
    FLOW, name="plain", title="flow, without the extra", environment="checkpoint-plain"
)
BARE: Final = replace(FLOW, name="bare", title="no tool", argument="bare")
KISHU: Final = ToolKind(
    name="kishu",
    title="Kishu",
    environment="checkpoint-kishu",
    script="peers/checkpoint_kishu.py",
    slow=2,
)
PICKLERS: Final = tuple(
    ToolKind(
        name=name,
        title=name,
        environment="checkpoint-picklers",
        script="peers/checkpoint_picklers.py",
        argument=name,
        slow=2,
        saves_each_cell=False,
    )
    for name in ("dill", "cloudpickle", "pickle")
)
KINDS: Final = (FLOW, PLAIN, BARE, KISHU, *PICKLERS)


def set_up_all(kinds: Sequence[ToolKind]) -> None:
    """Makes the environments that these tools need; quick when they are there."""
    session = pinned("session")
    packages = {
        "checkpoint-flow": ["-e", f"{_ROOT}[checkpoint]", *session],
        "checkpoint-plain": ["-e", str(_ROOT), *session],
        "checkpoint-kishu": [*pinned("kishu"), *session],
        "checkpoint-picklers": [*pinned("picklers"), *session],
    }
    for name in dict.fromkeys(kind.environment for kind in kinds):
        set_up(name, packages[name])


class ToolProcess:
    """One tool in a process of its own, with a session of its own."""

    def __init__(self, kind: ToolKind, folder: Path, *, here: bool = False) -> None:
        """Starts it.

        Args:
            kind: Which.
            folder: An empty directory; its working directory and home.
            here: True to use this interpreter and no environment.
        """
        self.kind = kind
        self.folder = folder
        self.is_here = here
        self.python = (
            sys.executable if here else str(ENVIRONMENTS / kind.environment / "bin" / "python")
        )
        self._stderr = (folder / "stderr.txt").open("wb")
        words = [kind.argument] if kind.argument else []
        self._process = subprocess.Popen(
            [self.python, str(HERE / kind.script), *words],
            cwd=folder,
            env=environment(folder, {"PYTHONPATH": str(HERE)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )

    def ask(self, do: str, **more: object) -> dict[str, Any]:
        """One request and its answer; see `checkpoint_tool`.

        Raises:
            ToolFailedError: The tool refused, ended, or is silent for too long.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise ToolFailedError(f"{self.kind.name} ended: {self._said()}") from None
        if not select.select([stdout], [], [], _DEADLINE_S)[0]:
            raise ToolFailedError(f"{self.kind.name}: no answer to {do} after {_DEADLINE_S:g} s")
        line = stdout.readline()
        if not line:
            raise ToolFailedError(f"{self.kind.name} ended at {do}: {self._said()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ToolFailedError(f"{self.kind.name}, {do}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Ends it, and what it started."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in psutil.Process(self._process.pid).children(recursive=True):
                    each.kill()  # not all of them stay in its group
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)
            self._process.wait(timeout=20)
        self._stderr.close()

    def _said(self) -> str:
        self._stderr.flush()
        text = (self.folder / "stderr.txt").read_text(encoding="utf-8", errors="replace")
        return text[-600:]


def cost_ms(answer: Mapping[str, Any], bare_ms: float, *, field: str = "ms") -> float:
    """What the tool cost of a cell: its own time, or what it took longer than without a tool."""
    own_ms = answer["own_ms"]
    return float(answer[field] - bare_ms if own_ms is None else own_ms)


@contextlib.contextmanager
def processes(
    kinds: Sequence[ToolKind], root: Path, *, here: bool
) -> Iterator[dict[str, ToolProcess]]:
    """The tools, each in its own process and folder under `root`; all are ended after it."""
    with contextlib.ExitStack() as stack:
        alive = {}
        for kind in kinds:
            folder = root / kind.name
            folder.mkdir(parents=True)
            alive[kind.name] = ToolProcess(kind, folder, here=here)
            stack.callback(alive[kind.name].close)
        yield alive
