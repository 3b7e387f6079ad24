"""Kills what a worker has left, however the worker and its session ended.

Started by `begin` in a worker that no zygote has forked: a zygote does the same for its own. It is
a small process that waits for one pid; it belongs to nobody, so that no cell that waits for its
children ever waits for it.
"""

import os
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from typing import Final

from flow_kernel.records.process import start_time
from flow_kernel.workers import sweep

_LOOK_S: Final = 1.0


def begin(*, owner: int = 0, directory: str = "") -> bool:
    """Begin to watch this process; before it has any thread.

    Args:
        owner: The process of its session; 0 for none on this machine.
        directory: Of its session, removed when that is gone as well.

    Returns:
        False where there is nothing to watch with, or no tag to find what is left by.
    """
    tag = os.environ.get(sweep.TAG_NAME)
    if not tag or not hasattr(os, "fork"):
        return False
    argv = [sys.executable, "-P", "-m", __name__, tag, *_named(os.getpid())]
    if directory:
        argv += [directory, *_named(owner)]
    env = {name: value for name, value in os.environ.items() if name != sweep.TAG_NAME}
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _become(argv, env)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return True


def _become(argv: list[str], env: dict[str, str]) -> None:
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # a terminal or a worker that ends means others
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    # Nothing of the worker's is held open by it.
    os.closerange(3, 4096)
    os.execve(argv[0], argv, env)  # noqa: S606 - our own module


def main() -> None:
    """Do it for the arguments: tag, pid, start time; directory, pid and start time of its owner."""
    tag, pid, started, *rest = sys.argv[1:]
    _wait(int(pid), started)
    sweep.kill_all(tag)
    if rest:
        directory, owner, its_start = rest
        if start_time(int(owner)) != its_start:
            shutil.rmtree(directory, ignore_errors=True)


def _named(pid: int) -> list[str]:
    """A process, so that no later one of the same pid is taken for it."""
    return [str(pid), start_time(pid) or ""]


def _wait(pid: int, started: str) -> None:
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):
            fd = os.pidfd_open(pid)
            if start_time(pid) == started:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                poll.poll()
            return
    while start_time(pid) == started:
        time.sleep(_LOOK_S)  # this system tells nobody about a process that is no child


if __name__ == "__main__":
    main()
