"""Every error that flow_kernel raises.

Raised by all floors, caught by apps (which turn them into one sentence and an exit code).

    FlowError                     exit code 1
    ├── UsageError (ValueError)               2   wrong arguments, an ill-formed id
    ├── NotFound (LookupError)                2   no such plan, task, cell, log
    ├── StoreError (OSError)                  1   the home cannot be read or written
    │   ├── StoreTooNew (StoreError)          4   written by a newer version; nothing was touched
    │   └── StoreDamaged (StoreError)         1   the database fails its checks
    ├── JournalDamaged                        1   lines of a log fail their checksum
    ├── IllegalTransition                     2   a task or step is not in a state that allows it
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
