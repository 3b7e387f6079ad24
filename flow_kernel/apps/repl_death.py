"""Why a kernel of `jupyter flow repl` ended, judged from its exit status (pure).

Called by `repl_session`, the parent: nobody else learns the status of a process.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flow_kernel.records.process import signal_name

_FAULTS: Final = (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a process ended.

    Attributes:
        reason: segfault, oom_kernel, killed, exit or lost; the words of `death` records.
        detail: The signal by name, or the exit code.
    """

    reason: str
    detail: str

    @property
    def words(self) -> str:
        """Both, for people: `segfault (SIGSEGV)`."""
        return f"{self.reason} ({self.detail})"


def ending_of(code: int | None, *, before: Mapping[str, int], after: Mapping[str, int]) -> Ending:
    """What an exit status says.

    Args:
        code: As `subprocess` gives it, negative for a signal; None where it was not learned.
        before: Counters of out-of-memory kills when the kernel started.
        after: The same at its end.
    """
    if code is None:
        return Ending(reason="lost", detail="its exit status is not known")
    if code >= 0:
        return Ending(reason="exit", detail=f"exit code {code}")
    name = signal_name(-code)
    if -code in _FAULTS:
        return Ending(reason="segfault", detail=name)
    # A kill elsewhere on the machine is no evidence; one in our own group is.
    grown = after.get("cgroup", 0) > before.get("cgroup", after.get("cgroup", 0))
    if -code == signal.SIGKILL and grown:
        return Ending(reason="oom_kernel", detail=name)
    return Ending(reason="killed", detail=name)
