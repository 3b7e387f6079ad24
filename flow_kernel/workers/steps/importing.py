"""Imports ahead what steps need, and finds what is not fit for it.

Used by `host_process`. Not fit is a module whose import leaves a thread, which no fork takes along,
or writes something, which only its step may: it is told, and the host is made again without it.
"""

import fcntl
import importlib
import os
import sys
import termios
import warnings

from flow_kernel.workers.fork_threads import threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ATTRIBUTE = ":"
"""`a:b` stands for `from a import b`, where `b` may be a module."""


class Importer:
    """That of one host.

    Args:
        noise: The reading end of what this process writes to stdout and stderr.
    """

    def __init__(self, noise: int) -> None:
        self._noise = noise
        self._heard = 0

    def load(self, names: "Sequence[str]", before: "Callable[[str], None]") -> dict[str, str]:
        """Import modules.

        Args:
            names: Of modules; what cannot be imported is left to the step.
            before: Called with each name.

        Returns:
            Why modules are not fit, by the name that was asked for.
        """
        unfit: dict[str, str] = {}
        count = threads()
        where = os.getcwd()  # noqa: PTH109 - a text
        for name in names:
            before(name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    _import(name)
                except BaseException:  # noqa: BLE001, S112 - one that cannot be imported is the step's
                    continue
            if os.getcwd() != where:  # noqa: PTH109 - a text
                os.chdir(where)
                unfit[name] = "its import changes the directory"
            elif self._has_written():
                unfit[name] = "its import writes something"
            elif threads() > count and (after := _threads_after_a_fork()) > count:
                count = after
                unfit[name] = "its import starts threads"
        return unfit

    def _has_written(self) -> bool:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        waiting = fcntl.ioctl(self._noise, termios.FIONREAD, bytes(4))
        before, self._heard = self._heard, int.from_bytes(waiting, sys.byteorder)
        return self._heard > before


def _threads_after_a_fork() -> int:
    """OpenBLAS ends its threads before a fork, and starts them again when they are needed."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return threads()


def _import(name: str) -> None:
    module, _, attribute = name.partition(ATTRIBUTE)
    loaded = importlib.import_module(module)
    # A module of the same name would take the place of what is there.
    if attribute and hasattr(loaded, "__path__") and not hasattr(loaded, attribute):
        importlib.import_module(f"{module}.{attribute}")
