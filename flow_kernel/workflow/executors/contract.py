"""What an executor of steps is asked for, and what it answers (pure).

Implemented by the other modules of this folder and by packages that name an entry point in the
group `flow_kernel.executors`; called by `workflow.attempt`, once for each attempt of a step.

An executor promises, and `tests/workflow/test_promises_of_executors.py` holds it to that:

    the script is run unmodified, as `script --variables-file FILE`
    stdout comes back whole and byte by byte; stderr is told as it is written
    an exit code, a signal, a limit and a timeout each come back as what they are
    a coroutine that is cancelled ends the step, and all it started, before it returns
    what one step does to itself, no other step notices
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from flow_kernel.workers.limits import Limits
from flow_kernel.workflow.model import StepType
from flow_kernel.workflow.states import StepState

Log = Callable[[bytes], None]
"""Takes what a step writes to stderr, as it comes; called in the thread of the loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One attempt of one step.

    Attributes:
        run_id: Of the run.
        step_id: Of the step.
        number: Of the step in its workflow, from 1.
        attempt: From 1.
        step_type: Never an approval.
        source: The script or the command line.
        filename: The file that the script has, as its tracebacks name it; absolute.
        beside: The directory that the script imports from first; absolute.
        notebook: The notebook to run; None for other types.
        variables: What goes into the variables file: one JSON object.
        directory: Where the step works; absolute.
        limits: What it may take.
        cpu: Processors that it keeps busy.
        keep_in: Where its files are kept; None to remove them.
    """

    run_id: str
    step_id: str
    number: int
    attempt: int
    step_type: StepType
    source: str
    filename: str
    beside: str
    notebook: str | None = None
    variables: bytes
    directory: str
    limits: Limits
    cpu: float = 0.0
    keep_in: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        state: ok, error, timeout, blocked or cancelled.
        stdout: All of it.
        error: `{"type", "message", …}`; None when there is none.
        how: What it ran in, in a word: fork, spawn, kernel, inline, dask.
        how_reason: Why it is not what was asked for; empty where it is.
        peak_rss_bytes: None where nobody knows.
        cpu_s: None where nobody knows.
    """

    state: StepState
    stdout: bytes = b""
    error: Mapping[str, Any] | None = None
    how: str = ""
    how_reason: str = ""
    peak_rss_bytes: int | None = None
    cpu_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an executor is made with.

    Attributes:
        run_id: Of the run.
        files: A directory of the run's own, for variables files; made, and removed at the end.
        workers: How many steps run at once.
        address: What the user wrote behind the name of the executor, as in `dask=tcp://…`.
        env: What steps find in their environment.
        options: Of the executor, from the settings.
    """

    run_id: str
    files: Path
    workers: int
    address: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


class Executor(Protocol):
    """Runs steps; made with a `Context` in the thread of the loop that calls it."""

    async def run(self, order: Order, log: Log) -> Outcome:
        """Run one attempt to its end.

        Raises:
            IsolationUnavailable: It cannot be run here; nothing of it was.
        """

    async def close(self) -> None:
        """End everything that is left; harmless the second time."""


@runtime_checkable
class ImmediateExecutor(Protocol):
    """An executor that can do without the loop, for steps that are shorter than a turn of it."""

    def run_now(self, order: Order, log: Log) -> Outcome:
        """`Executor.run` in the thread that calls; nothing ends the step but itself."""
