"""A run as it goes on: what it is told of, as the sight that a picture shows (pure).

Built by `shell.workflows.live`; told from the thread of the run, asked by the one that draws, which
hold one lock.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from flow_kernel.records.plain import human_ms, one_line
from flow_kernel.workflow import events
from flow_kernel.workflow.ledger import error_of
from flow_kernel.workflow.model import Workflow
from flow_kernel.workflow.picture_sight import Sight, error_text
from flow_kernel.workflow.states import RunStatus, StepState
from flow_kernel.workflow.views import Run, StepView

_TAIL_CHARS: Final = 400


class Watch:
    """See the module.

    Args:
        run: As it is stored before it goes on.
        workflow: Its definition.
        now_s: A clock that does not jump.
    """

    def __init__(self, run: Run, workflow: Workflow, now_s: Callable[[], float]) -> None:
        self._run = replace(run, status=RunStatus.RUNNING, reason="")
        self._steps = workflow.steps
        self._now_s = now_s
        self._began_s = now_s()
        self._views: dict[str, StepView] = {step.id: step for step in run.steps}
        self._begun: dict[str, float] = {}
        self._notes: dict[str, str] = {}
        self._tails: dict[str, str] = {}

    @property
    def is_running(self) -> bool:
        """True while a step runs: time passes in the picture."""
        return bool(self._begun)

    def note(self, event: events.Event) -> None:
        """Something has happened."""
        match event:
            case events.RunBegan():
                for name, view in self._views.items():
                    if view.state == StepState.RUNNING:  # of a runner that has died
                        self._views[name] = replace(view, state=StepState.PENDING)
            case events.StepBegan():
                self._begin(event)
            case events.StepLogged():
                lines = event.text.splitlines()
                line = next((each for each in reversed(lines) if each.strip()), "")
                if line:
                    self._tails.pop(event.step.id, None)  # who has spoken last stands last
                    self._tails[event.step.id] = line[:_TAIL_CHARS]
            case events.StepRests():
                self._rest(event)
            case events.StepEnded():
                self._end(event)
            case events.RunEnded():
                self._run = replace(self._run, status=event.status, reason=event.reason)

    def sight(self) -> Sight:
        """The run now."""
        now = self._now_s()
        views = self._views | {
            name: replace(self._views[name], elapsed_ms=(now - began) * 1000)
            for name, began in self._begun.items()
        }
        return Sight(
            run=replace(self._run, steps=tuple(views.values())),
            steps=self._steps,
            elapsed_ms=(now - self._began_s) * 1000,
            notes=dict(self._notes),
            tails=dict(self._tails),
        )

    def _begin(self, event: events.StepBegan) -> None:
        name = event.step.id
        self._notes.pop(name, None)
        self._begun[name] = self._now_s()
        self._views[name] = replace(
            self._views[name],
            state=StepState.RUNNING,
            attempt=event.attempt,
            executor=event.executor,
            error=None,
            elapsed_ms=None,
        )

    def _rest(self, event: events.StepRests) -> None:
        name = event.step.id
        self._begun.pop(name, None)
        again = human_ms(event.wait_s * 1000)
        self._notes[name] = f"attempt {event.attempt} failed, again in {again}"
        self._views[name] = replace(self._views[name], error=event.error)
        said = error_text(self._views[name], 100)
        self._tails[name] = one_line(said, _TAIL_CHARS)

    def _end(self, event: events.StepEnded) -> None:
        name = event.step.id
        for known in (self._begun, self._notes, self._tails):
            known.pop(name, None)
        self._views[name] = step_of(event)


def step_of(event: events.StepEnded) -> StepView:
    """A step that is over, as it is stored."""
    row = event.row
    return StepView(
        id=event.step.id,
        name=event.step.name,
        state=StepState(row.state),
        attempt=row.attempt,
        executor=row.executor,
        started_at=row.started_at,
        elapsed_ms=row.elapsed_ms,
        error=event.error or error_of(row) or None,
        logs=row.logs,
        approval_id=row.approval_id,
        reused_from=row.reused_from,
    )
