"""Whether processes have ended, for whatever they are children of.

Used by tests and helpers that end a program with all that it has started. Such a process has ended
when it is a zombie too: what its parent has left behind is fetched by init, and one that is not in
a hurry takes two seconds for it.
"""

import os
import select
import time
from collections.abc import Iterable

import psutil


def still_alive(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait until all have ended.

    Returns:
        Those that have not within `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    return [each for each in processes if not _has_ended(each, deadline)]


def _has_ended(process: psutil.Process, deadline: float) -> bool:
    if not hasattr(os, "pidfd_open"):  # not on Linux
        return not psutil.wait_procs([process], max(0.0, deadline - time.monotonic()))[1]
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if not process.is_running():  # another one has its number by now
            return True
        return bool(select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0])
    finally:
        os.close(fd)
