"""What every checkpoint tool answers, over lines of JSON: the same requests, the same clock.

Run inside the process of a tool: `checkpoint_flow.py` and the files in `peers/` implement `Tool`
and call `serve`. Only the standard library is imported: each tool has its own environment.

    {"do": "cell", "code": …}   a cell, and what the tool does after it
    {"do": "cells", "codes": …} several, one right after the other; `ms` is that of one of them
    {"do": "save"}              all variables kept, as far as this tool can be asked for that
    {"do": "back", "to": ID}    the variables as they were
    {"do": "quiet", "code": …}  a cell without the tool (where it can be kept out), for set-up
    {"do": "value", "code": …}  the value of an expression
"""

import contextlib
import functools
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import line_answers


class Tool(Protocol):
    """A checkpoint tool at work on one session."""

    namespace: dict[str, Any]

    def cell(self, code: str) -> float | None:
        """Run a cell, and all that the user waits for because of the tool.

        Returns:
            The tool's own milliseconds, where it does nothing while the cell runs.
        """

    def quiet(self, code: str) -> None:
        """Run a cell that is not measured."""

    def save(self) -> None:
        """Keep all variables; the user waits until this returns."""

    def settle(self) -> None:
        """Wait until what was kept is on the disk."""

    def here(self) -> str:
        """The id of the newest checkpoint."""

    def back(self, to: str) -> None:
        """Make the variables as they were."""

    def stored_bytes(self) -> int:
        """What lies on the disk."""


def serve(make: Callable[[], Tool]) -> None:
    """Answer requests until stdin ends."""
    line_answers.serve(lambda: functools.partial(_answer, make()))


def _answer(tool: Tool, request: dict[str, Any]) -> dict[str, object]:
    do, code = request["do"], request.get("code", "")
    if do == "quiet":
        tool.quiet(code)
        return {}
    if do == "value":
        return {"value": eval(code, tool.namespace)}
    if do == "here":
        return {"id": tool.here()}
    before = tool.stored_bytes()
    gc.collect()
    started = time.perf_counter()
    own_ms = None
    if do == "cell":
        own_ms = tool.cell(code)
    elif do == "cells":
        for one in request["codes"]:
            tool.cell(one)
    elif do == "save":
        tool.save()
    elif do == "back":
        tool.back(request["to"])
    else:
        raise ValueError(f"nothing is called {do!r}")
    blocked = time.perf_counter()
    tool.settle()
    durable = time.perf_counter()
    return {
        "ms": (blocked - started) * 1000 / len(request.get("codes", [0])),
        "own_ms": own_ms,
        "durable_ms": (durable - started) * 1000,
        "bytes": tool.stored_bytes() - before,
        "id": tool.here(),
    }


def run_in_shell(shell: Any, code: str) -> None:
    """A cell as a notebook runs it.

    Raises:
        RuntimeError: It failed.
    """
    result = shell.run_cell(code, store_history=True)
    if not result.success:
        raise RuntimeError(f"{code[:80]!r}: {result.error_before_exec or result.error_in_exec!r}")


def a_shell(config: dict[str, dict[str, Any]] | None = None) -> Any:
    """IPython's shell, without the history that it writes from a thread of its own."""
    from IPython.core.interactiveshell import InteractiveShell  # not in every environment
    from traitlets.config import Config  # comes with IPython

    made = Config({"HistoryAccessor": {"enabled": False}, **(config or {})})
    shell = InteractiveShell.instance(config=made)
    run_in_shell(shell, "pass")  # the first cell of all imports more of IPython
    return shell


def size_of(folder: Path) -> int:
    """All bytes of the files under a folder."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # removed meanwhile
            total += path.lstat().st_size if path.is_file() else 0
    return total
