"""The states of a step and of a run, as tables (pure).

Read by `progress`, `ledger` and everything that shows a run.

    pending ──▶ running ──▶ ok | error | timeout | blocked ──(retry)──▶ running
       │           ├──────▶ waiting ──▶ ok | error | skipped | timeout     an approval
       │           └──────▶ cancelled
       └──▶ skipped | cancelled | ok (a result that was kept)

A step whose runner died while it was running is running again: its state was never another one.
"""

from enum import StrEnum
from typing import Final

from flow_kernel.errors import IllegalTransition


class StepState(StrEnum):
    """Where a step is."""

    PENDING = "pending"
    RUNNING = "running"
    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    WAITING = "waiting"
    CANCELLED = "cancelled"


class RunStatus(StrEnum):
    """Where a run is."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


S = StepState
FAILED: Final = frozenset({S.ERROR, S.TIMEOUT, S.BLOCKED})
OVER: Final = frozenset({S.OK, S.SKIPPED, S.CANCELLED}) | FAILED
RUN_OVER: Final = frozenset({RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.CANCELLED})

_NEXT: Final = {
    S.PENDING: {S.RUNNING, S.OK, S.SKIPPED, S.CANCELLED},
    S.RUNNING: {S.RUNNING, S.OK, S.WAITING, S.SKIPPED, S.CANCELLED} | FAILED,
    S.WAITING: {S.RUNNING, S.OK, S.SKIPPED, S.CANCELLED} | FAILED,
}


def checked(step_id: str, before: StepState, after: StepState) -> StepState:
    """`after`, if a step may go there.

    Raises:
        IllegalTransition: It may not.
    """
    if after not in _NEXT.get(before, ()):
        raise IllegalTransition(f"step {step_id[:60]} is {before} and cannot become {after}")
    return after
