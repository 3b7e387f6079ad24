"""Checks of the internals of IPython and ipykernel that the taps rely on.

Called by `shell.attach` when a session starts, and by `jupyter flow doctor`.

Each check looks at shape only (an attribute is there, a parameter has its name) and takes
microseconds; a failed one keeps its tap out, and the kernel behaves as stock there.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    name: str
    ok: bool
    detail: str


def usable_taps(shell: Any, kernel: Any) -> frozenset[str]:
    """Names of the taps whose ground is as they expect it, for this very shell and kernel.

    `kernel` is None in terminal IPython.
    """
    checks: dict[str, Callable[[], bool]] = {
        "compile": lambda: isinstance(shell.compile, CachingCompiler),
        "messages": lambda: (
            _takes(kernel.session.send, "stream", "msg_or_type", "content", "parent")
            and hasattr(kernel.iopub_thread, "_handle_pipe_msg")
        ),
        "drain": lambda: all(
            hasattr(stream, "_buffers") and hasattr(stream, "_fid")
            for stream in (kernel._stdout, kernel._stderr)
        ),
    }
    usable = set()
    for name, check in checks.items():
        try:
            if check():
                usable.add(name)
        except (AttributeError, TypeError, ValueError):
            continue
    return frozenset(usable)


def findings() -> list[Finding]:
    """The same ground, looked at on the classes: what `doctor` prints."""
    from ipykernel.displayhook import ZMQShellDisplayHook  # heavy: only doctor asks
    from ipykernel.iostream import IOPubThread, OutStream  # heavy: only doctor asks
    from ipykernel.ipkernel import IPythonKernel  # heavy: only doctor asks
    from jupyter_client import connect, jsonutil  # heavy: only doctor asks
    from jupyter_client.session import Session  # heavy: only doctor asks

    info = ("raw_cell", "store_history", "cell_id", "cell_meta")
    return [
        _finding("IPython tells of cells", lambda: _takes(ExecutionInfo.__init__, *info)),
        _finding(
            "IPython tells how cells end",
            lambda: {"error_before_exec", "error_in_exec"} <= set(dir(ExecutionResult)),
        ),
        _finding("IPython compiles through one object", lambda: callable(CachingCompiler.__call__)),
        _finding("IPython hides its own names", lambda: hasattr(InteractiveShell, "init_user_ns")),
        _finding("IPython formats results", lambda: hasattr(DisplayHook, "write_format_data")),
        _finding(
            "ipykernel builds results in its display hook",
            lambda: "msg" in ZMQShellDisplayHook.start_displayhook.__code__.co_names,
        ),
        _finding(
            "ipykernel sends through its session",
            lambda: _takes(Session.send, "stream", "msg_or_type", "content", "parent"),
        ),
        _finding(
            "jupyter_client reads dates with one function",
            lambda: callable(jsonutil._dateutil_parse),
        ),
        _finding(
            "jupyter_client asks for a default address in one place",
            lambda: callable(connect.ConnectionFileMixin._ip_default),
        ),
        _finding(
            "ipykernel lets replies carry metadata",
            lambda: _takes(IPythonKernel.finish_metadata, "parent", "metadata", "reply_content"),
        ),
        _finding(
            "ipykernel passes the cell's metadata",
            lambda: _takes(IPythonKernel.do_execute, "cell_meta", "cell_id", "store_history"),
        ),
        _finding(
            "ipykernel reads captured descriptors in one place",
            lambda: callable(OutStream._watch_pipe_fd) and callable(OutStream._flush_buffers),
        ),
        _finding(
            "ipykernel takes frames of forked children",
            lambda: callable(IOPubThread._handle_pipe_msg),
        ),
    ]


def _finding(name: str, check: Callable[[], bool]) -> Finding:
    try:
        ok = check()
    except (AttributeError, TypeError, ValueError) as error:
        return Finding(name=name, ok=False, detail=f"{type(error).__name__}: {error}")
    return Finding(
        name=name, ok=ok, detail="as expected" if ok else "changed: stock behaviour here"
    )


def _takes(function: Any, *names: str) -> bool:
    return set(names) <= set(inspect.signature(function).parameters)
