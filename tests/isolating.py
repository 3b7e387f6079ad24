"""What tests of isolated cells have in common.

Called by the tests in `tests/flows`.
"""

import time

import psutil

from tests.kernels import Kernel


def ok(kernel: Kernel, code: str, **options: object) -> str:
    """The result of a cell that has to end well, else what it printed."""
    ran = kernel.run(code, **options)  # type: ignore[arg-type]
    assert ran.status == "ok", ran.error
    return ran.result or ran.stdout


def is_gone(pid: int) -> bool:
    """True once a process has ended, ten seconds from now at the latest."""
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
