"""A cell that goes on once all requests that were sent behind it have arrived.

Used by the tests of what becomes of requests that wait.
"""

from tests.kernels import Kernel

_OPEN = "gate_is_open"


def closed(kernel: Kernel) -> str:
    """The first lines of such a cell."""
    (kernel.cwd / _OPEN).unlink(missing_ok=True)
    return f"import os, time\nwhile not os.path.exists({_OPEN!r}): time.sleep(0.002)\n"


def open_behind_all(kernel: Kernel) -> None:
    """Let the cell go on.

    One thread of a kernel reads all requests and hands them on in their order: when a subshell
    answers, those that were sent before have got to their shell.
    """
    subshell = kernel.ask("create_subshell_request", {}, channel="control")["subshell_id"]
    kernel.ask("kernel_info_request", {}, subshell=subshell)
    kernel.ask("delete_subshell_request", {"subshell_id": subshell}, channel="control")
    (kernel.cwd / _OPEN).touch()
