"""A process that has imported the kernel and forks a new one for each line it reads.

Run by `tests.forked`: a kernel then starts in a tenth of the time, so a test can kill a hundred.

    in:   {"arguments": […], "cwd": …, "env": {…}, "output": …}        out:  <pid>, or why not

With "errors" and "code" as well it is a verb of the command line that is run: these name the files
for its stderr and, at its end, for its exit code; "module" names another program than the command
line, by the module of its function `main`.

Its own arguments are the names of further modules that its kernels shall have at hand.
"""

import gc
import importlib
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, Final

from IPython.core.ultratb import AutoFormattedTB

from flow_kernel.apps import cli
from flow_kernel.shell.kernel import FlowKernelApp

_FIRST_USES: Final = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "flow_kernel.records.redaction",
    "flow_kernel.session.isolation.opening",
    "flow_kernel.shell.isolated.cell",
    "flow_kernel.shell.magics.task_answers",
    "psutil",
    "tornado.platform.asyncio",
)
"""What a kernel imports while it starts, and at its first cell of each kind."""


_NO_HISTORY: Final = "--HistoryManager.enabled="


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
            order = json.loads(line)
            become = _become_a_verb if "code" in order else _become_a_kernel
            become(order)
            return  # and end as a program does
        print(pid, flush=True)


def _show_an_error() -> None:
    """The first one that a process shows looks at the file of each module: 60 ms."""
    try:
        int("")
    except ValueError:
        AutoFormattedTB(mode="Context", theme_name="linux").structured_traceback(*sys.exc_info())


def _become_a_kernel(order: dict[str, Any]) -> None:
    _leave_home(order, JPY_PARENT_PID=str(os.getppid()))
    sys.argv[1:] = order["arguments"]
    FlowKernelApp.launch_instance()
    if any(word.startswith(_NO_HISTORY) for word in order["arguments"]):
        os._exit(0)  # at its exit such an IPython may wait for ever, in stock ipykernel as well


def _become_a_verb(order: dict[str, Any]) -> None:
    _leave_home(order)
    main = importlib.import_module(order["module"]).main if "module" in order else cli.main
    try:
        code = main(order["arguments"]) or 0
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
