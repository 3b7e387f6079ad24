"""A run as it goes on, as a picture shows it."""

from flow_kernel.store.run_rows import RunStepRow
from flow_kernel.workflow import events
from flow_kernel.workflow.model import Step, Workflow
from flow_kernel.workflow.picture_watch import Watch
from flow_kernel.workflow.states import RunStatus, StepState
from flow_kernel.workflow.views import Run, StepView

A, B = Step(id="a", name="a"), Step(id="b", name="b", needs=("a",))
WORKFLOW = Workflow(name="w", steps=(A, B))


class Clock:
    """Time as the test says; a real one would not repeat."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def watch(clock: Clock, *states: StepState) -> Watch:
    views = [
        StepView(id=step.id, name=step.name, state=state)
        for step, state in zip(WORKFLOW.steps, states, strict=True)
    ]
    run = Run(
        run_id="R-0001",
        workflow="w",
        status=RunStatus.PENDING,
        reason="",
        task=("local", "T-0000"),
        started_at=None,
        completed_at=None,
        output_data=None,
        steps=tuple(views),
    )
    return Watch(run, WORKFLOW, clock)


def told(found: Watch) -> list[tuple[str, str, int, float | None]]:
    return [(s.id, str(s.state), s.attempt, s.elapsed_ms) for s in found.sight().run.steps]


def ended(step: Step, state: StepState, **more: object) -> events.StepEnded:
    row = RunStepRow(run_id="R-0001", step_id=step.id, number=1, state=state, **more)  # type: ignore[arg-type]
    return events.StepEnded(step=step, row=row)


def test_time_passes_in_what_runs_and_stands_in_what_is_over() -> None:
    clock = Clock()
    found = watch(clock, StepState.PENDING, StepState.PENDING)
    found.note(events.StepBegan(step=A, attempt=1, executor="fork"))
    clock.now_s += 2.0

    assert told(found) == [("a", "running", 1, 2000.0), ("b", "pending", 0, None)]
    assert found.is_running
    found.note(ended(A, StepState.OK, elapsed_ms=1999.0))
    clock.now_s += 1.0
    assert told(found) == [("a", "ok", 1, 1999.0), ("b", "pending", 0, None)]
    assert found.sight().elapsed_ms == 3000.0
    assert not found.is_running


def test_a_step_that_rests_says_why_and_for_how_long() -> None:
    clock = Clock()
    found = watch(clock, StepState.PENDING, StepState.PENDING)
    found.note(events.StepBegan(step=A, attempt=1, executor="fork"))
    error = {"type": "ValueError", "message": "no rows"}
    found.note(events.StepRests(step=A, attempt=1, error=error, wait_s=2.0))

    sight = found.sight()
    assert sight.notes == {"a": "attempt 1 failed, again in 2.0 s"}
    assert sight.tails == {"a": "ValueError: no rows"}
    found.note(events.StepBegan(step=A, attempt=2, executor="fork"))
    assert (found.sight().notes, told(found)[0]) == ({}, ("a", "running", 2, 0.0))


def test_the_last_line_of_each_log_is_seen_while_its_step_runs() -> None:
    found = watch(Clock(), StepState.PENDING, StepState.PENDING)
    found.note(events.StepBegan(step=A, attempt=1, executor="fork"))
    found.note(events.StepLogged(step=A, text="one\ntwo\n\n"))

    assert found.sight().tails == {"a": "two"}
    found.note(ended(A, StepState.OK))
    assert found.sight().tails == {}


def test_what_a_dead_runner_has_left_running_is_to_begin_again() -> None:
    found = watch(Clock(), StepState.RUNNING, StepState.PENDING)
    found.note(events.RunBegan(run_id="R-0001", workflow="w", steps=(A, B), states={}))

    assert [state for _, state, *_ in told(found)] == ["pending", "pending"]
    assert found.sight().run.status == RunStatus.RUNNING
    end = events.RunEnded(run_id="R-0001", status=RunStatus.FAILED, reason="a failed", elapsed_ms=1)
    found.note(end)
    assert (found.sight().run.status, found.sight().run.reason) == (RunStatus.FAILED, "a failed")
