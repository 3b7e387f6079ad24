"""What is seen of the code of steps that take longer: memory shared by host, steps and owner.

Used by `host_process` for the signal that asks a step, and by `watch` for what it then shows. A
step pays nothing for it before its first second: it has a thread that looks at its code only when
it was asked for one.
"""

import importlib
import os
import signal
from contextlib import suppress
from mmap import mmap
from types import FrameType
from typing import Any, Final

from flow_kernel.workers.glimpses import NBYTES, Glimpses
from flow_kernel.workers.thread_looks import catches

SLOTS: Final = 64
"""Steps at one time; further ones are not looked into."""
_SAMPLER: Final = "flow_kernel.shell.worker_sampler"
NUMBER: Final = getattr(signal, "SIGRTMAX", 64) - 7
"""The signal; hardly any program uses it."""

_OF_THREADS: Final = sum(1 << number - 1 for number in range(32, getattr(signal, "SIGRTMIN", 32)))


class Seen:
    """That memory in a host and in its children."""

    def __init__(self) -> None:
        self.memory_fd: int = os.memfd_create("flow-steps", os.MFD_CLOEXEC)
        os.ftruncate(self.memory_fd, SLOTS * NBYTES)
        self._memory = mmap(self.memory_fd, SLOTS * NBYTES)
        self._slot = -1
        self._sampler: Any = None

    def listen(self) -> None:
        """Be ready to be asked, as each child is then."""
        # A call of the system is interrupted by it: who waits for a lock would not answer else.
        signal.signal(NUMBER, self._begin)

    def take(self, slot: int) -> None:
        """In a child: the place where it shows itself; below 0 for none."""
        self._slot = slot

    def ask(self, pid: int) -> None:
        """Have a child look at its own code from now on."""
        if catches(pid, NUMBER):  # another program would end of it
            with suppress(OSError):
                os.kill(pid, NUMBER)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        signal.signal(NUMBER, signal.SIG_IGN)
        if self._slot < 0 or self._sampler is not None:
            return
        with suppress(Exception):  # it is then not looked into
            # Not before: with `threading` a fork takes 0.3 ms longer.
            module = importlib.import_module(_SAMPLER)
            glimpses = Glimpses(self._memory, self._slot * NBYTES)
            sampler = module.Sampler(glimpses, has_comms=lambda: False, is_copy=True)
            # All threads but the first are the script's.
            sampler._ours = frozenset({os.getpid()})
            # The first thread brings handlers of the C library along.
            sampler._caught |= _OF_THREADS
            self._sampler = sampler
            sampler.open(str(os.getpid()))
            sampler.begin(str(os.getpid()))
