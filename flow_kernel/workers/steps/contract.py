"""What is asked of a process that runs one step, and what is told of its end (pure).

Built by whoever runs workflows; taken and made by `host`, `hosts` and `spawned`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flow_kernel.workers.limits import Limits

if TYPE_CHECKING:
    from flow_kernel.workers.death import Death

How = Literal["fork", "spawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepJob:
    """One program to run; it reads nothing on its stdin.

    Attributes:
        source: Python source to run as `__main__`; None to run `argv` as a program.
        argv: `sys.argv` of the source; else the program and its arguments.
        filename: `__file__` of the source, as tracebacks show it.
        env: All of its environment.
        cwd: Its directory.
        path: `sys.path` of the source; the directory of the script comes first.
        limits: What it is held to.
    """

    source: str | None
    argv: tuple[str, ...]
    filename: str = ""
    env: Mapping[str, str]
    cwd: str
    path: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnd:
    """How it ended.

    Attributes:
        returncode: As `subprocess` has it: negative where a signal ended it.
        stdout: What it wrote there, up to `limits.output_bytes`.
        stdout_bytes: How much that was in all, as far as it was read.
        peak_rss_bytes: The most memory that its process held; None where nobody says.
        cpu_s: Computing time of it and of those that it has waited for; None where nobody says.
        elapsed_s: From its start to its end.
        death: Why it died, where it did not end by itself with an exit code.
        block: The document of a block, where it was ended because it did not go on.
        left_behind: Processes that it had started and that were killed after its end.
        how: Whether it was forked from a process that had imported what it needs.
        how_reason: Why it was not, or why not all of it was imported; empty where it was.
    """

    returncode: int
    stdout: bytes
    stdout_bytes: int
    peak_rss_bytes: int | None
    cpu_s: float | None
    elapsed_s: float
    death: "Death | None"
    block: dict[str, Any] | None
    left_behind: int
    how: How
    how_reason: str
