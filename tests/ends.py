"""Whether processes have ended, for whatever they are children of.

Used by tests and helpers that end a program with all that it has started. Such a process has ended
when it is a zombie too: what its parent has left behind is fetched by init, and one that is not in
a hurry takes two seconds for it.
"""

import os
import select
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    import subprocess

    from tests.forked import ForkedProcess

END_S: Final = 20.0
"""Longest wait for an end; reached only when something is broken."""


def kill_server(server: "subprocess.Popen[bytes] | ForkedProcess", *, grace_s: float = 0.0) -> None:
    """Kill a server and all that it has started: how it ends by itself takes it a second or two.

    Args:
        server: A child of ours, or of a zygote.
        grace_s: How long what the server leaves may take to end by itself.
    """
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):  # a test may have ended it
        family = psutil.Process(server.pid).children(recursive=True)
    server.kill()
    server.wait()
    left = still_alive(family, grace_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    still_alive(left, END_S)


def opened(pid: int) -> list[psutil.Process]:
    """The process of that number; none where it has ended."""
    with suppress(psutil.NoSuchProcess):
        return [psutil.Process(pid)]
    return []


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
