"""A run at one moment, as pictures show it, and the words for it (pure).

Built by `picture_watch` while a run goes on, and of stored runs by `%workflow` and reports; drawn
by `picture_html` and `picture_text`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from flow_kernel.records.plain import human_ms, one_line
from flow_kernel.workflow.critical_path import CriticalPath, critical_path
from flow_kernel.workflow.layout import before
from flow_kernel.workflow.model import Step, Workflow
from flow_kernel.workflow.states import FAILED, RUN_OVER, RunStatus, StepState
from flow_kernel.workflow.views import Run, StepView

MARKS: Final = {
    StepState.PENDING: "·",
    StepState.RUNNING: "▸",
    StepState.OK: "✓",
    StepState.ERROR: "✗",
    StepState.TIMEOUT: "✗",
    StepState.BLOCKED: "✗",
    StepState.SKIPPED: "–",
    StepState.WAITING: "?",
    StepState.CANCELLED: "■",
}
"""What tells states apart without colours."""
ORDER: Final = (
    *(StepState.OK, StepState.RUNNING, StepState.WAITING),
    *(StepState.ERROR, StepState.TIMEOUT, StepState.BLOCKED, StepState.CANCELLED),
    *(StepState.SKIPPED, StepState.PENDING),
)
"""How counts of states are listed."""
_NAME_CHARS: Final = 60
_CHAIN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """See the module.

    Attributes:
        run: With its steps; a step that runs has the time that it has taken so far.
        steps: Of the definition; empty where it is lost.
        elapsed_ms: From the begin of the run to its end, or to now.
        outputs: By id: what came out of a step, as JSON, as far as it is to be shown.
        notes: By id: what else there is to say of a step now.
        tails: By id: the last line that a step that runs has written.
    """

    run: Run
    steps: tuple[Step, ...] = ()
    elapsed_ms: float | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    tails: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[StepState]:
        """How many steps are in which state."""
        return Counter(step.state for step in self.run.steps)


def sight_of(
    run: Run, workflow: Workflow | None, *, outputs: Mapping[str, str] | None = None
) -> Sight:
    """A stored run.

    Args:
        run: As it is stored.
        workflow: Its definition; None where it is lost.
        outputs: By id: what came out of a step, as JSON.
    """
    elapsed_ms = None
    if run.started_at and run.completed_at:
        began, ended = map(datetime.fromisoformat, (run.started_at, run.completed_at))
        elapsed_ms = max((ended - began).total_seconds() * 1000, 0.0)
    steps = () if workflow is None else workflow.steps
    return Sight(run=run, steps=steps, elapsed_ms=elapsed_ms, outputs=outputs or {})


def critical_of(sight: Sight) -> CriticalPath:
    """The critical path so far; what was taken from another run took no time in this one."""
    elapsed = {
        step.id: None if step.reused_from else step.elapsed_ms
        for step in sight.run.steps
        if step.state not in (StepState.PENDING, StepState.SKIPPED)
    }
    return critical_path(before(sight.steps), elapsed)


def title_of(sight: Sight) -> str:
    """`R-0001 etl`."""
    return f"{sight.run.run_id} {one_line(sight.run.workflow, _NAME_CHARS)}"


def state_of(sight: Sight) -> str:
    """`failed · 3 of 5 steps ok · 1.2 s`."""
    run, counts = sight.run, sight.counts
    parts = [str(run.status)]
    many = sum(count for state, count in counts.items() if state in FAILED)
    running = counts[StepState.RUNNING]
    parts.append(f"{counts[StepState.OK]:,} of {len(run.steps):,} steps ok")
    if many:
        parts.append(f"{many:,} failed")
    if running and run.status not in RUN_OVER:
        parts.append(f"{running:,} running")
    if sight.elapsed_ms is not None:
        parts.append(human_ms(sight.elapsed_ms))
    return " · ".join(parts)


def chain_of(sight: Sight, path: CriticalPath) -> str:
    """`critical path 1.1 s: fetch → process → save`; empty where it says nothing."""
    if len(path.steps) < 2:
        return ""
    names = {step.id: step.name for step in sight.run.steps}
    shown = [one_line(names.get(each, each), 30) for each in path.steps]
    if len(shown) > _CHAIN + 1:
        half = _CHAIN // 2
        shown = [*shown[:half], f"… {len(shown) - 2 * half} more …", *shown[-half:]]
    return f"critical path {human_ms(path.elapsed_ms)}: {' → '.join(shown)}"


def facts_of(step: StepView, note: str = "") -> str:
    """`ok · 1.2 s · attempt 2`: what stands below the name of a step.

    Args:
        step: Which.
        note: What else there is to say; it takes the place of the rest.
    """
    if note:
        return one_line(note, 60)
    parts = [str(step.state)]
    if step.reused_from:
        parts.append(f"from {one_line(step.reused_from, 12)}")
    elif step.elapsed_ms is not None:
        parts.append(human_ms(step.elapsed_ms))
    if step.attempt > 1 and step.state != StepState.WAITING:
        parts.append(f"attempt {step.attempt}")
    if step.approval_id and step.state == StepState.WAITING:
        parts.append(one_line(step.approval_id, 20))
    return " · ".join(parts)


def error_text(step: StepView, width: int) -> str:
    """What the error of a step says, on one line; empty where there is none."""
    error = step.error or {}
    kind, message = str(error.get("type") or ""), str(error.get("message") or "")
    if kind in ("AfterFailure", "NotNeeded", "Cancelled"):
        return one_line(message, width)
    if kind and not message.startswith(kind):
        message = f"{kind}: {message}" if message else kind
    return one_line(message, width)


def counts_text(states: Iterable[StepState]) -> str:
    """`40 ok, 3 running, 5 pending`."""
    counts = Counter(states)
    return ", ".join(f"{counts[state]:,} {state}" for state in ORDER if counts[state])


def ways_on(run: Run) -> Sequence[str]:
    """What can be done now, a line each."""
    if run.status == RunStatus.WAITING:
        asked = [step.approval_id for step in run.steps if step.state == StepState.WAITING]
        shown = [f"answer: jupyter flow approve {each}" for each in asked[:5] if each]
        return [*shown, f"then: %workflow resume {run.run_id}"]
    if run.status in (RunStatus.FAILED, RunStatus.CANCELLED):
        return [f"to run what is left: %workflow resume {run.run_id} --failed"]
    return []
