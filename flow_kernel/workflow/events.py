"""What happens in a run, told as it happens (pure).

Made by `runner`; heard by the table of the command line, the picture in a notebook, and agents.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flow_kernel.store.run_rows import RunStepRow
from flow_kernel.workflow.model import Step
from flow_kernel.workflow.states import RunStatus, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan:
    """A run begins, or goes on."""

    run_id: str
    workflow: str
    steps: tuple[Step, ...]
    states: Mapping[str, StepState]
    """Of the steps that are over already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBegan:
    """An attempt of a step begins."""

    step: Step
    attempt: int
    executor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLogged:
    """A step has written to stderr."""

    step: Step
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRests:
    """An attempt has failed, and there will be another."""

    step: Step
    attempt: int
    error: Mapping[str, Any]
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A step is over, or waits for an answer; `row` is what is stored of it."""

    step: Step
    row: RunStepRow
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that is no error and that the user would want to know."""

    step: Step | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """A run is over, or parked."""

    run_id: str
    status: RunStatus
    reason: str
    elapsed_ms: float


class Guarded:
    """Tells a listener until that fails: a run does not end because nobody can look at it.

    Args:
        tell: The listener.
    """

    def __init__(self, tell: "Tell") -> None:
        self._tell: Tell | None = tell

    def __call__(self, event: "Event") -> None:
        """Tell `event`, if anybody still listens."""
        if self._tell is None:
            return
        try:
            self._tell(event)
        except Exception:  # noqa: BLE001 - a closed pipe, a broken screen: whatever it is, it is not the run's
            self._tell = None


Event = RunBegan | StepBegan | StepLogged | StepRests | StepEnded | Warned | RunEnded
Tell = Callable[[Event], None]
