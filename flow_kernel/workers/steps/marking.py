"""Marks a forked process with the tag of its step, in microseconds.

Used by `host_process`. `sweep.wear` does the same for one process; here the place is looked for
once, for it is the same in each process that this one forks.
"""

import os
import pathlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from flow_kernel.workers.sweep import TAG_NAME, environment_of

_ENV_START = 47
"""Field 50 of stat, counted from the state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagPlace:
    """Where the system reads the tag of this process.

    Attributes:
        at: Address of its value; 0 where there is none.
        nbytes: Its length; a tag of another one does not fit.
    """

    at: int
    nbytes: int

    @classmethod
    def find(cls) -> Self:
        """That of this process, as it was executed."""
        name = f"{TAG_NAME}=".encode()
        environment = b"\0" + (environment_of(os.getpid()) or b"")
        found = environment.find(b"\0" + name)
        if found < 0:
            return cls(at=0, nbytes=0)
        value = environment[found + 1 + len(name) :].partition(b"\0")[0]
        with pathlib.Path("/proc/self/stat").open("rb") as file:
            stat = file.read()
        start = int(stat[stat.rfind(b")") + 2 :].split()[_ENV_START])
        return cls(at=start + found + len(name) if start else 0, nbytes=len(value))

    def wear(self, tag: str) -> None:
        """Make `tag` the mark of this process and of what it starts from now on."""
        os.environ[TAG_NAME] = tag
        data = tag.encode()
        if not self.at or len(data) != self.nbytes:
            return
        with suppress(OSError):  # what it executes carries the tag all the same
            memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
            try:
                os.pwrite(memory, data, self.at)
            finally:
                os.close(memory)
