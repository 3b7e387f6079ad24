"""The end of a process that a cell has forked and that comes to the end of its cell.

Called by the kernels of `shell.kernel` and `shell.worker.app` when a cell has run.

In stock ipykernel it goes on as a second kernel on the sockets, and the loop, of the first: it
takes what wakes its parent. A script's child ends where the script does, and so does this one: what
it has printed is sent, threads that it has begun are waited for, and what is registered for the end
of the session is left to the session.
"""

import os
import sys
import threading
from collections.abc import Mapping
from typing import Any, Final

from flow_kernel.records.frozen import FROZEN_BUILTINS

globals()["__builtins__"] = FROZEN_BUILTINS

_exit: Final = os._exit
_FAILED: Final = 1


def end(reply: Mapping[str, Any] | None) -> None:
    """End this process.

    Args:
        reply: Of its cell; None where there is none.
    """
    try:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BaseException:  # noqa: BLE001 - whatever the cell has put there, it ends
        _exit(_FAILED)
    _exit(_status(reply))


def _status(reply: Mapping[str, Any] | None) -> int:
    """The exit code that a script would have had."""
    if reply is None:
        return _FAILED
    if reply.get("ename") == "SystemExit":
        said = str(reply.get("evalue", ""))
        if said in ("", "None"):
            return 0
        return int(said) & 0xFF if said.lstrip("-").isdigit() else _FAILED
    return 0 if reply.get("status") == "ok" else _FAILED
