"""A process that has imported the kernel and forks a new one for each line it reads.

Run by `tests.forked`: a kernel then starts in a tenth of the time, so a test can kill a hundred.

    in:   {"arguments": […], "cwd": …, "env": {…}, "output": …}        out:  <pid>, or why not

Its own arguments are the names of further modules that its kernels shall have at hand.
"""

import gc
import importlib
import json
import os
import signal
import sys
from typing import Any, Final

from IPython.core.ultratb import AutoFormattedTB

from flow_kernel.shell.kernel import FlowKernelApp

_FIRST_USES: Final = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "flow_kernel.records.redaction",
    "flow_kernel.session.isolation.opening",
    "flow_kernel.shell.isolated_cell",
    "flow_kernel.shell.task_answers",
    "psutil",
    "tornado.platform.asyncio",
)
"""What a kernel imports while it starts, and at its first cell of each kind."""


def main() -> None:
    """Fork until stdin ends."""
    # Children are reaped by the operating system: their end is watched through a pidfd.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in (*_FIRST_USES, *sys.argv[1:]):
        importlib.import_module(name)
    _show_an_error()
    # A collection in a kernel would copy every page of what was imported here.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        try:
            pid = os.fork()
        except OSError as error:  # too many processes: that costs the test that asked, and no other
            print(error, flush=True)
            continue
        if pid == 0:
            _become_a_kernel(json.loads(line))
            return  # and end as a program does
        print(pid, flush=True)


def _show_an_error() -> None:
    """The first one that a process shows looks at the file of each module: 60 ms."""
    try:
        int("")
    except ValueError:
        AutoFormattedTB(mode="Context", theme_name="linux").structured_traceback(*sys.exc_info())


def _become_a_kernel(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.environ.clear()
    os.environ.update(order["env"], JPY_PARENT_PID=str(os.getppid()))
    os.chdir(order["cwd"])
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    sys.argv[1:] = order["arguments"]
    FlowKernelApp.launch_instance()


if __name__ == "__main__":
    main()
