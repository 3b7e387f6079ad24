"""How far a run is: which steps may begin, which never will, and what that makes of the run (pure).

Used by `runner`, which says what has happened and asks what may begin. There is no barrier: a step
is ready as soon as all that it needs is over.

    what a step needs                                     the step
    all of it ended well, or its condition said no        may begin
    something failed, and says stop                       is skipped, and so is what needs it
    something failed, and says continue                   may begin
    something failed, and its handler is this step        may begin
    a handler, and what it handles did not fail           is skipped; what needs it may begin
"""

from collections import deque
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Final, NamedTuple

from flow_kernel.workflow.model import OnError, Step, Workflow
from flow_kernel.workflow.states import FAILED, OVER, RunStatus, StepState, checked

S: Final = StepState


class Skipped(NamedTuple):
    """A step that will not run.

    Attributes:
        step: Which.
        reason: In words.
        is_failure: True where it is because something failed.
    """

    step: Step
    reason: str
    is_failure: bool


class Progress:
    """See the module.

    Args:
        workflow: Checked: no cycle, and all names known.
        states: Of steps that are over or wait already, where a run goes on.
        unhelpful: Of these, the ones that were skipped because something had failed.
    """

    def __init__(
        self,
        workflow: Workflow,
        states: Mapping[str, StepState] | None = None,
        *,
        unhelpful: Iterable[str] = (),
    ) -> None:
        self.steps: dict[str, Step] = {step.id: step for step in workflow.steps}
        self.states: dict[str, StepState] = dict.fromkeys(self.steps, S.PENDING)
        self.states.update(states or {})
        self._fails: dict[str, list[str]] = {}
        """By handler: the steps that name it."""
        self._needs: dict[str, tuple[str, ...]] = {}
        for step in workflow.steps:
            if step.handler:
                self._fails.setdefault(step.handler, []).append(step.id)
        graph: TopologicalSorter[str] = TopologicalSorter()
        for step in workflow.steps:
            self._needs[step.id] = needs = (*step.needs, *self._fails.get(step.id, ()))
            graph.add(step.id, *needs)
        graph.prepare()
        self._graph = graph
        self._dead: set[str] = set(unhelpful)
        """Skipped because something failed: what needs them is skipped as well."""
        self._ready: deque[Step] = deque()
        self._waiting = [name for name, state in self.states.items() if state == S.WAITING]
        self._running = sum(state == S.RUNNING for state in self.states.values())
        self._advance()

    # -- what may begin ----------------------------------------------------------------------------

    def take(self) -> Step | Skipped | None:
        """The next step that may begin or that is skipped; None while there is none.

        A step that is given out is running, or skipped.
        """
        if not self._ready:
            return None
        step = self._ready.popleft()
        reason = self._why_not(step)
        if reason is None:
            self._set(step.id, S.RUNNING)
            return step
        if reason:
            self._dead.add(step.id)
        self.end(step.id, S.SKIPPED)
        return Skipped(step, reason or "nothing that it handles has failed", bool(reason))

    def give_back(self, step: Step) -> None:
        """There is no place for it yet."""
        self.states[step.id] = S.PENDING
        self._running -= 1
        self._ready.appendleft(step)

    def end(self, step_id: str, state: StepState) -> None:
        """A step is over, or waits for an answer; what needs it may be ready now."""
        self._set(step_id, state)
        if state in OVER:
            self._graph.done(step_id)
            self._advance()

    def cancel(self) -> list[Step]:
        """Nothing begins any more. Returns the steps that are cancelled by that."""
        left = [self.steps[name] for name, state in self.states.items() if state == S.PENDING]
        self._ready.clear()
        for step in left:
            self.states[step.id] = S.CANCELLED
        return left

    # -- what that makes of the run ----------------------------------------------------------------

    @property
    def running(self) -> int:
        """How many steps run now."""
        return self._running

    @property
    def is_ready(self) -> bool:
        """True while `take` has something to give."""
        return bool(self._ready)

    @property
    def waiting(self) -> list[str]:
        """Steps that wait for an answer."""
        return [*self._waiting]

    def is_handled(self, step_id: str) -> bool:
        """True where a failure of the step does not make the run fail."""
        step = self.steps[step_id]
        if step.on_error == OnError.CONTINUE:
            return True
        if step.on_error != OnError.GOTO:
            return False
        # A handler that failed itself may have one; these lead forward, so there is an end.
        state = self.states[step.handler]
        return state == S.OK or (state in FAILED and self.is_handled(step.handler))

    def status(self) -> RunStatus:
        """What the run is, once nothing runs and nothing is ready."""
        states = self.states.items()
        if any(state == S.CANCELLED for _, state in states):
            return RunStatus.CANCELLED
        if self._running or self._ready:
            return RunStatus.RUNNING
        if any(state == S.WAITING for _, state in states):
            return RunStatus.WAITING
        if any(state in FAILED and not self.is_handled(name) for name, state in states):
            return RunStatus.FAILED
        return RunStatus.SUCCESS

    # -- inside ------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """What is ready now, in the order of the definition; what is over already is passed by."""
        while names := self._graph.get_ready():
            over = [name for name in names if self.states[name] in OVER]
            self._ready.extend(
                self.steps[name]
                for name in names
                if self.states[name] not in OVER and self.states[name] != S.WAITING
            )
            if not over:
                return
            self._graph.done(*over)

    def _why_not(self, step: Step) -> str | None:
        """Why a step that is ready does not run: empty for a handler that nobody needs."""
        for name in step.needs:
            if name in self._dead:
                return f"{name} did not run"
            if self.states[name] in FAILED and self.steps[name].on_error != OnError.CONTINUE:
                return f"{name} has failed"
        handled = self._fails.get(step.id, ())
        if not step.is_handler or any(self.states[name] in FAILED for name in handled):
            return None
        return ""

    def _set(self, step_id: str, state: StepState) -> None:
        before = self.states[step_id]
        self.states[step_id] = checked(step_id, before, state)
        self._running += (state == S.RUNNING) - (before == S.RUNNING)
        if state == S.WAITING:
            self._waiting.append(step_id)
        elif before == S.WAITING:
            self._waiting.remove(step_id)
