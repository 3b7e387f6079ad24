"""A script inside the sub-kernel that runs it, with what a program of its own would find.

Run by the one cell that `kernel_runs` sends to a worker; the worker ends as the script does.

The kernel stays as it is underneath: its sockets and its threads. What the script sees of it is put
back to what an interpreter has, but for `display`, `get_ipython` and the figures of matplotlib,
which are what it is run here for.
"""

import atexit
import builtins
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from flow_kernel.workers.steps import script_main

LAST_CALL: Final = "step_is_over"
"""Of the worker to whoever has sent the step: what was displayed before has arrived with it."""
_STREAMS: Final = (("stdout", 1, "strict", -1), ("stderr", 2, "backslashreplace", 1))
"""Name, descriptor, how it treats what is no UTF-8, how it is buffered: as an interpreter does."""


def run(
    source: str,
    filename: str,
    *,
    argv: list[str],
    path: list[str],
    cwd: str,
    env: Mapping[str, str],
) -> None:
    """Be that script; does not return.

    Args:
        source: Its text.
        filename: Its `__file__`.
        argv: Its `sys.argv`.
        path: Its `sys.path`.
        cwd: Its directory.
        env: What its environment has besides that of the worker.
    """
    os.chdir(cwd)
    os.environ.update(env)
    atexit._clear()  # what the kernel would do at its end, which nobody waits for
    kernel = getattr(getattr(builtins, "get_ipython", lambda: None)(), "kernel", None)
    atexit.register(partial(_let_displays_pass, kernel))  # the first one is called last
    _become_plain(kernel)
    script_main.run(source, filename=filename, argv=argv, path=path)


def _become_plain(kernel: Any) -> None:
    for name, fd, errors, buffering in _STREAMS:
        # The pipes are read by the session, byte by byte.
        stream = open(fd, "w", buffering, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115 - open as long as the process
        vars(sys).update({name: stream, f"__{name}__": stream})
    nothing = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - likewise
    vars(sys).update({"stdin": nothing, "__stdin__": nothing})
    sys.excepthook = sys.__excepthook__
    threading.excepthook = threading.__excepthook__
    stock = getattr(kernel, "_sys_raw_input", None)  # ipykernel has put its own in the place of it
    if stock is not None:
        builtins.input = stock


def _let_displays_pass(kernel: Any) -> None:
    """Wait until what was displayed has left this process."""
    with suppress(Exception):  # the script has ended all the same
        kernel._calls(LAST_CALL)
