"""Marks a forked process with the tag of its step, in microseconds.

Used by `host_process`. `sweep.wear` does the same for one process; here the place is looked for
once, for it is the same in each process that this one forks.
"""

import os

TAG_NAME = "FLOW_WORKER_TAG"
"""As `sweep` has it, which a host loads later."""
_ENV_START = 47
"""Field 50 of stat, counted from the state."""


class TagPlace:
    """Where the system reads the tag of this process.

    Args:
        at: Address of its value; 0 where there is none.
        nbytes: Its length; a tag of another one does not fit.
    """

    __slots__ = ("at", "nbytes")

    def __init__(self, *, at: int, nbytes: int) -> None:
        self.at: int = at
        self.nbytes: int = nbytes

    @classmethod
    def find(cls) -> "TagPlace":
        """That of this process, as it was executed."""
        name = f"{TAG_NAME}=".encode()
        environment = b"\0" + _read("/proc/self/environ")
        found = environment.find(b"\0" + name)
        if found < 0:
            return cls(at=0, nbytes=0)
        value = environment[found + 1 + len(name) :].partition(b"\0")[0]
        stat = _read("/proc/self/stat")
        start = int(stat[stat.rfind(b")") + 2 :].split()[_ENV_START])
        return cls(at=start + found + len(name) if start else 0, nbytes=len(value))

    def wear(self, tag: str) -> None:
        """Make `tag` the mark of this process and of what it starts from now on."""
        os.environ[TAG_NAME] = tag
        data = tag.encode()
        if not self.at or len(data) != self.nbytes:
            return
        try:
            memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
            try:
                os.pwrite(memory, data, self.at)
            finally:
                os.close(memory)
        except OSError:
            pass  # what it executes carries the tag all the same


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as file:  # noqa: PTH123 - lean
            return file.read()
    except OSError:
        return b""
