"""A process that has imported the kernel and forks a new one for each line it reads.

Run by `tests.forked`: a kernel then starts in a tenth of the time, so a test can kill a hundred.

    in:   {"arguments": […], "cwd": …, "env": {…}, "output": …}        out:  <pid>

With "errors" and "code" as well it is a verb of the command line that is run: these name the files
for its stderr and, at its end, for its exit code.

Its own arguments are the names of further modules that its kernels shall have at hand.
"""

import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import pygments.formatters.terminal256
import pygments.lexers.python
import stack_data

from flow_kernel.apps import cli
from flow_kernel.shell.kernel import FlowKernelApp

# What draws a traceback costs a quarter of a second at first use.
_WARM = (stack_data, pygments.lexers.python, pygments.formatters.terminal256)


def main() -> None:
    """Fork until stdin ends."""
    # Children are reaped by the operating system: their end is watched through a pidfd.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            order = json.loads(line)
            become = _become_a_verb if "code" in order else _become_a_kernel
            become(order)
        print(pid, flush=True)


def _become_a_kernel(order: dict[str, Any]) -> None:
    _leave_home(order, JPY_PARENT_PID=str(os.getppid()))
    sys.argv[1:] = order["arguments"]
    FlowKernelApp.launch_instance()
    os._exit(0)


def _become_a_verb(order: dict[str, Any]) -> None:
    _leave_home(order)
    try:
        code = cli.main(order["arguments"])
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - as Python itself ends
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    Path(order["code"]).write_text(str(code), encoding="ascii")
    os._exit(0)


def _leave_home(order: dict[str, Any], **more: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.environ.clear()
    os.environ.update(order["env"], **more)
    os.chdir(order["cwd"])
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    output = os.open(order["output"], flags)
    errors = os.open(order.get("errors", order["output"]), flags)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (errors, 2)):
        os.dup2(source, target)
    for one in (output, errors, null):
        os.close(one)


if __name__ == "__main__":
    main()
