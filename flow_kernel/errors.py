"""Every error that flow_kernel raises.

Raised by all floors, caught by apps (which turn them into one sentence and an exit code).

    FlowError                     exit code 1
    ├── UsageError (ValueError)               2   wrong arguments, an ill-formed id
    ├── NotFound (LookupError)                2   no such plan, task, cell, log
    ├── StoreError (OSError)                  1   the home cannot be read or written
    │   ├── StoreTooNew (StoreError)          4   written by a newer version; nothing was touched
    │   └── StoreDamaged (StoreError)         1   the database fails its checks
    ├── JournalDamaged                        1   lines of a log fail their checksum
    ├── StaleRevision                         1   other cells ran meanwhile; the cell did not run
    ├── RepeatedRequest                       1   a cell that may run once has run; it did not again
    ├── ApprovalPending                       3   a question waits for an answer
    ├── ApprovalRejected (PermissionError)    1   the answer was no
    ├── CheckpointDamaged                     1   a part of a checkpoint fails its hash
    ├── UntrustedCheckpoint (PermissionError) 4   somebody else has signed it
    ├── WorkerDied                            1   the worker of an isolated cell is gone
    │   └── MemoryLimitExceeded (MemoryError)  1   … of more memory than the cell may take
    ├── ScriptFailed (ChildProcessError)      1   a script of bash ended with an exit code or signal
    ├── WorkerBlocked                         1   the worker makes no progress
    ├── CellTimeout (TimeoutError)            1   a cell ran longer than it may
    ├── IsolationUnavailable (RuntimeError)   4   what was asked for cannot be had here
    ├── KernelGone                            1   a kernel has ended, or does not answer
    ├── WorkflowInvalid (ValueError)          2   a workflow has problems; nothing of it was run
    ├── StepFailed                            1   a step of a workflow has failed
    ├── IllegalTransition                     2   a task or step is not in a state that allows it
    │   └── AlreadyDecided (IllegalTransition) 1  a question takes no answer any more
    └── MissingExtra (ImportError)            2   an optional dependency is not installed
"""

from typing import ClassVar


class FlowError(Exception):
    """Base of all errors of flow_kernel. `hint` says what to do next, in one sentence."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(FlowError, ValueError):
    """An argument or an id has the wrong form; nothing was done."""

    exit_code = 2


class NotFound(FlowError, LookupError):
    """The named thing does not exist; nothing was done."""

    exit_code = 2


class StoreError(FlowError, OSError):
    """The home cannot be read or written; recording goes on in memory."""


class StoreTooNew(StoreError):
    """A newer version wrote the database; nothing was touched."""

    exit_code = 4


class StoreDamaged(StoreError):
    """The database fails its checks; the logs still hold the history."""


class IllegalTransition(FlowError):
    """A task or a step is not in a state that allows what was asked; nothing was done."""

    exit_code = 2


class AlreadyDecided(IllegalTransition):
    """A question takes no answer any more; the first one stands.

    `decided_by` and `decided_at` say whose it is; None where there is none.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, approval_id: str, decided_by: str | None, decided_at: str | None
    ) -> None:
        super().__init__(message)
        self.approval_id = approval_id
        self.decided_by = decided_by
        self.decided_at = decided_at


class _Quiet:
    """An end of a cell that is no fault of its code: shown as one sentence, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]  # IPython asks for the lines to show


class ApprovalPending(_Quiet, FlowError):
    """The question `approval_id` was recorded and waits; a rerun after the answer goes on."""

    exit_code = 3

    def __init__(self, message: str, *, approval_id: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.approval_id = approval_id


class ApprovalRejected(_Quiet, FlowError, PermissionError):
    """The answer to the question `approval_id` was no, or none came in time; nothing was run."""

    def __init__(self, message: str, *, approval_id: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.approval_id = approval_id


class StaleRevision(_Quiet, FlowError):
    """Other cells ran than the client of this one knows of, up to `rev`; nothing was run."""

    def __init__(self, message: str, *, rev: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.rev = rev


class RepeatedRequest(_Quiet, FlowError):
    """A request that may run once came before; nothing was run."""


class CheckpointDamaged(FlowError):
    """A checkpoint cannot be restored; `variables` are those that it concerns."""

    def __init__(self, message: str, *, variables: tuple[str, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint or 'try "jupyter flow checkpoints verify"')
        self.variables = variables


class UntrustedCheckpoint(FlowError, PermissionError):
    """A checkpoint that this user has not signed; restoring it would run its code."""

    exit_code = 4


class WorkerDied(_Quiet, FlowError):
    """The worker `worker_id` is gone; `reason` is one of those that death records use.

    `exit_status` and `signal` are None where nobody could say.
    """

    def __init__(
        self,
        message: str,
        *,
        worker_id: str,
        reason: str,
        exit_status: int | None = None,
        signal: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.worker_id = worker_id
        self.reason = reason
        self.exit_status = exit_status
        self.signal = signal

    def _render_traceback_(self) -> list[str]:
        # One line each: what it was, where, what is gone, what is left, what to do.
        head, *more = str(self).removeprefix("the worker died: ").split("; ")
        return [f"{type(self).__name__}: {head}", *(f"  {part}" for part in more)]


class MemoryLimitExceeded(WorkerDied, MemoryError):
    """The worker was ended because its processes held more memory than the cell may take."""


class ScriptFailed(_Quiet, FlowError, ChildProcessError):
    """A script of bash has ended with another exit code than 0.

    `returncode` is that of `subprocess`: negative where a signal ended bash itself.
    """

    def __init__(self, message: str, *, returncode: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.returncode = returncode


class WorkerBlocked(_Quiet, FlowError):
    """The worker `worker_id` makes no progress."""

    def __init__(self, message: str, *, worker_id: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.worker_id = worker_id


class CellTimeout(_Quiet, FlowError, TimeoutError):
    """A cell ran longer than the `timeout_s` seconds that it may."""

    def __init__(self, message: str, *, timeout_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.timeout_s = timeout_s


class IsolationUnavailable(_Quiet, FlowError, RuntimeError):
    """The isolation that was asked for cannot be had here; nothing was run."""

    exit_code = 4


class KernelGone(FlowError):
    """A kernel has ended or does not answer; what it had recorded is in its log."""


class WorkflowInvalid(FlowError, ValueError):
    """A workflow has problems, all of them in `problems`, each with its place; nothing was run.

    A problem reads like `steps[2].needs[0]: there is no step "fetsh"; did you mean "fetch"?`.
    """

    exit_code = 2

    def __init__(self, message: str, *, problems: tuple[str, ...], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems

    def __str__(self) -> str:
        """All of it, a problem a line."""
        return "\n  ".join((super().__str__(), *self.problems))


class StepFailed(_Quiet, FlowError):
    """Step `step_id` of run `run_id` has failed; `state` is error, timeout or blocked."""

    def __init__(
        self, message: str, *, run_id: str, step_id: str, state: str, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.run_id = run_id
        self.step_id = step_id
        self.state = state


class JournalDamaged(FlowError):
    """Lines of a log fail their checksum; the other lines are still readable."""

    def __init__(self, message: str, *, damaged: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.damaged = damaged


class MissingExtra(FlowError, ImportError):
    """An optional dependency is not installed; `extra` is the name to install."""

    exit_code = 2

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"{package} is not installed",
            hint=f'try: pip install "flow_kernel[{extra}]"',
        )
        self.package = package
        self.extra = extra
