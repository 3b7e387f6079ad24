"""A process that has imported the kernel and forks a new one for each line it reads.

Run by `tests.forked`: a kernel then starts in a tenth of the time, so a test can kill a hundred.

    in:   {"arguments": […], "cwd": …, "env": {…}, "output": …}        out:  <pid>

Its own arguments are the names of further modules that its kernels shall have at hand.
"""

import gc
import importlib
import json
import os
import signal
import sys
from typing import Any

import pygments.formatters.terminal256
import pygments.lexers.python
import stack_data

from flow_kernel.shell.kernel import FlowKernelApp

# What draws a traceback costs a quarter of a second at first use.
_WARM = (stack_data, pygments.lexers.python, pygments.formatters.terminal256)


def main() -> None:
    """Fork until stdin ends."""
    # Children are reaped by the operating system: their end is watched through a pidfd.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    # A collection in a kernel would copy every page of what was imported here.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_a_kernel(json.loads(line))
            return  # and end as a program does
        print(pid, flush=True)


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
