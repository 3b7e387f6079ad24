"""What is seen of the code of steps that take longer: memory shared by host, steps and owner.

Used by `host_process` for the signal that asks a step, and by `looks` for what it then shows. A
step pays nothing for it before its first second: it has a thread that looks at its code only when
it was asked for one.
"""

import _signal  # type: ignore[import-not-found] # `signal` takes a starting host 4 ms
import importlib
import os
from mmap import mmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

SLOTS = 64
"""Steps at one time; further ones are not looked into."""
SLOT_BYTES = 4096
"""What `glimpses` needs for each, which a host loads later."""
_GLIMPSES = "flow_kernel.workers.glimpses"
_LOOKS = "flow_kernel.workers.thread_looks"
_SAMPLER = "flow_kernel.shell.worker.sampler"
NUMBER = getattr(_signal, "SIGRTMAX", 64) - 7
"""The signal; hardly any program uses it."""

_OF_THREADS = sum(1 << number - 1 for number in range(32, getattr(_signal, "SIGRTMIN", 32)))


class Seen:
    """That memory in a host and in its children."""

    def __init__(self) -> None:
        self.memory_fd: int = os.memfd_create("flow-steps", os.MFD_CLOEXEC)
        os.ftruncate(self.memory_fd, SLOTS * SLOT_BYTES)
        self._memory = mmap(self.memory_fd, SLOTS * SLOT_BYTES)
        self._slot = -1
        self._sampler: Any = None

    def listen(self) -> None:
        """Be ready to be asked, as each child is then."""
        # A call of the system is interrupted by it: who waits for a lock would not answer else.
        _signal.signal(NUMBER, self._begin)

    def take(self, slot: int) -> None:
        """In a child: the place where it shows itself; below 0 for none."""
        self._slot = slot

    def ask(self, pid: int) -> None:
        """Have a child look at its own code from now on."""
        looks = importlib.import_module(_LOOKS)
        if looks.catches(pid, NUMBER):  # another program would end of it
            try:
                os.kill(pid, NUMBER)
            except OSError:
                pass  # it has ended meanwhile

    def _begin(self, _number: int, _frame: "FrameType | None") -> None:
        _signal.signal(NUMBER, _signal.SIG_IGN)
        if self._slot < 0 or self._sampler is not None:
            return
        try:
            self._open()
        except Exception:  # noqa: BLE001 - the script goes on; it is then not looked into
            pass

    def _open(self) -> None:
        # Not before: with `threading` a fork takes 0.3 ms longer.
        module = importlib.import_module(_SAMPLER)
        memory = importlib.import_module(_GLIMPSES).Glimpses(self._memory, self._slot * SLOT_BYTES)
        sampler = module.Sampler(memory, has_comms=lambda: False, is_copy=True)
        # All threads but the first are the script's.
        sampler._ours = frozenset({os.getpid()})
        # The first thread brings handlers of the C library along.
        sampler._caught |= _OF_THREADS
        self._sampler = sampler
        sampler.open(str(os.getpid()))
        sampler.begin(str(os.getpid()))
