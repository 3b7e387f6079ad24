"""Measures engines of workflows: a chain beside ours, a kill in the middle of it, its storage.

Called by `workflows.py`. One engine at a time; its chain and ours take turns, so its ratio is that
of one stretch of time. Every process of it is ended before the next one comes.
"""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import psutil
from checkpoint_process import ToolFailedError, ToolProcess
from harness import Bench, in_turn, spread
from workflow_kinds import OURS, EngineKind

_DEADLINE_S: Final = 240.0
_KILLED_LENGTH: Final = 6
_STOP: Final = 3
"""The step during which it is killed."""
_NAP_S: Final = 0.5
_PATIENCE_S: Final = 3.0
"""That the children of what was killed are given to end."""
_STORAGE_LENGTH: Final = 100


class Engine:
    """A process that answers for one engine, started anew after a kill."""

    def __init__(self, kind: EngineKind, folder: Path) -> None:
        self.kind = kind
        self._folder = folder
        folder.mkdir()
        self._start()

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One request and its answer; see `peers/workflow_tool.py`."""
        return self._process.ask(do, **more)

    def per_step_ms(self, length: int) -> float:
        """One chain."""
        return float(self.ask("chain", length=length)["ms"]) / length

    def killed(self) -> dict[str, Any]:
        """Kill what goes through a chain, and take it up again.

        Returns:
            How many steps were `finished` before, how many of those ran `again`, how many
            processes were `left`, and where the steps ran.
        """
        trace = self._folder / "trace"
        asking = threading.Thread(target=self._go, name="bench-go")
        asking.start()
        _until(lambda: f"began {_STOP} " in _text(trace))
        runner = psutil.Process(int(_text(self._folder / "runner.pid")))
        children = runner.children(recursive=True)
        runner.kill()
        done = _text(trace).splitlines()
        _, left = psutil.wait_procs(children, timeout=_PATIENCE_S)
        for each in left:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        asking.join(_DEADLINE_S)
        self._process.close()
        before = _text(trace).splitlines()
        self._start()
        resumed = self.ask("resume", length=_KILLED_LENGTH, nap_s=_NAP_S)
        after = _text(trace).splitlines()[len(before) :]
        finished = {line.split()[1] for line in done if line.startswith("ended ")}
        began = [line.split()[1] for line in after if line.startswith("began ")]
        return {
            "finished": len(finished),
            "again": sum(each in finished for each in began),
            "left": len(left),
            "isolation": _isolation([int(line.split()[2]) for line in done[::2]], runner.pid),
            "resume_ms": round(resumed["ms"], 1),
        }

    def close(self) -> None:
        """End it, and what it has started."""
        with suppress(ToolFailedError):
            self.ask("end")
        self._process.close()

    def _start(self) -> None:
        self._process = ToolProcess(
            self.kind.tool, self._folder, here=not self.kind.tool.environment
        )
        self.ask("begin")

    def _go(self) -> None:
        with suppress(ToolFailedError):  # it is killed
            self.ask("go", length=_KILLED_LENGTH, nap_s=_NAP_S)


def measure(kind: EngineKind, bench: Bench) -> dict[str, Any]:
    """All figures of one engine, and those of ours that were taken between its own.

    Raises:
        ToolFailedError: It cannot run a chain at all.
    """
    root = bench.folder("engines")
    length = bench.count(kind.length, 3)
    beside = [each for each in OURS if each is not kind]
    with ExitStack() as stack:
        alive = []
        for each in (kind, *beside):
            engine = Engine(each, root / each.name)
            stack.callback(engine.close)
            alive.append(engine)
        for engine in alive:
            engine.per_step_ms(min(length, 10))
        found, *ours = in_turn(
            bench.count(kind.turns, 1),
            bench.rng,
            [_taker(engine, length) for engine in alive],
            budget_s=_DEADLINE_S / 2,
        )
        entry = {
            "name": kind.name,
            "title": kind.tool.title,
            "length": length,
            **summary(found),
            "survives": kind.survives,
            "approval": kind.approval,
            "resumed_by": kind.resumed_by,
            "ours": {each.name: summary(column) for each, column in zip(beside, ours, strict=True)},
        }
        kept = min(_STORAGE_LENGTH, length)
        killed, killed_why = _tried(alive[0].killed)
        storage, _ = _tried(lambda: alive[0].ask("storage", length=kept)["found"])
    return {
        **entry,
        "killed": killed,
        "killed_why": killed_why,
        "storage_bytes": storage,
        "storage_length": kept,
    }


def summary(taken: Sequence[float]) -> dict[str, Any]:
    """Median and spread, in ms by step."""
    return {
        "value": _short(statistics.median(taken)),
        "spread": [_short(edge) for edge in spread(taken)],
        "samples": len(taken),
    }


def _taker(engine: Engine, length: int) -> Callable[[int], float]:
    return lambda _: engine.per_step_ms(length)


def _tried(what: Callable[[], Any]) -> tuple[Any, str]:
    """What it gives, or None and why."""
    try:
        return what(), ""
    except (ToolFailedError, psutil.Error, TimeoutError) as error:
        return None, str(error)[-300:]


def _isolation(pids: Sequence[int], runner: int) -> str:
    """Where steps ran, by their processes."""
    if set(pids) == {runner}:
        return "no"
    return "a process each" if len(set(pids)) == len(pids) else "shared processes"


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("the chain does not come to the step it is to be killed in")
        time.sleep(0.005)


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.exists() else ""


def _short(number: float) -> float:
    return float(f"{number:.5g}")
