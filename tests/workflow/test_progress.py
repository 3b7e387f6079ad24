"""Which steps begin, which never will, and what that makes of a run."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import IllegalTransition
from flow_kernel.workflow.model import OnError, Step, Workflow
from flow_kernel.workflow.progress import Progress, Skipped
from flow_kernel.workflow.states import OVER, RunStatus, StepState, checked
from tests.workflow.homes import workflow


def made(*steps: Step) -> Workflow:
    return Workflow(name="w", steps=steps)


def step(name: str, *needs: str, **more: object) -> Step:
    return Step(id=name, name=name, needs=needs, **more)  # type: ignore[arg-type]  # as written


def walk(progress: Progress, ends: Mapping[str, StepState]) -> list[str]:
    """Take what is ready and end it at once; the names as they begin, skipped ones in brackets."""
    seen = []
    while progress.is_ready:
        found = progress.take()
        if isinstance(found, Skipped):
            seen.append(f"({found.step.id})")
        elif found is not None:
            seen.append(found.id)
            progress.end(found.id, ends.get(found.id, StepState.OK))
    return seen


def test_a_step_begins_as_soon_as_what_it_needs_is_over_and_waits_for_nothing_else() -> None:
    progress = Progress(made(step("a"), step("b"), step("a2", "a"), step("b2", "b")))

    first = [progress.take(), progress.take()]
    progress.end("b", StepState.OK)
    second = progress.take()

    assert [each.id for each in first if isinstance(each, Step)] == ["a", "b"]
    assert isinstance(second, Step)
    assert second.id == "b2"
    assert (progress.take(), progress.running) == (None, 2)


def test_after_an_error_what_needs_it_is_skipped_and_independent_branches_end() -> None:
    progress = Progress(
        made(step("a"), step("a2", "a"), step("a3", "a2"), step("b"), step("b2", "b"))
    )

    assert walk(progress, {"a": StepState.ERROR}) == ["a", "b", "(a2)", "b2", "(a3)"]
    assert progress.status() == RunStatus.FAILED


@pytest.mark.parametrize("end", [StepState.ERROR, StepState.TIMEOUT, StepState.BLOCKED])
def test_with_continue_the_rest_runs_and_the_run_ends_well(end: StepState) -> None:
    progress = Progress(made(step("a", on_error=OnError.CONTINUE), step("b", "a")))

    assert walk(progress, {"a": end}) == ["a", "b"]
    assert progress.status() == RunStatus.SUCCESS


def with_handler() -> Workflow:
    return made(
        step("a", on_error=OnError.GOTO, handler="h"),
        step("b", "a"),
        step("h", is_handler=True),
        step("c", "h"),
    )


def test_a_handler_runs_after_a_failure_and_makes_good_for_it() -> None:
    progress = Progress(with_handler())

    assert walk(progress, {"a": StepState.ERROR}) == ["a", "(b)", "h", "c"]
    assert progress.status() == RunStatus.SUCCESS


def test_a_handler_is_skipped_where_nothing_failed_and_what_needs_it_runs() -> None:
    progress = Progress(with_handler())

    assert walk(progress, {}) == ["a", "b", "(h)", "c"]
    assert progress.status() == RunStatus.SUCCESS


def test_a_handler_that_fails_itself_makes_good_for_nothing() -> None:
    progress = Progress(with_handler())

    walk(progress, {"a": StepState.ERROR, "h": StepState.ERROR})

    assert progress.status() == RunStatus.FAILED


def test_a_handler_of_a_handler_makes_good_for_both() -> None:
    progress = Progress(
        made(
            step("a", on_error=OnError.GOTO, handler="h"),
            step("h", is_handler=True, on_error=OnError.GOTO, handler="i"),
            step("i", is_handler=True),
        )
    )

    assert walk(progress, {"a": StepState.ERROR, "h": StepState.ERROR}) == ["a", "h", "i"]
    assert progress.status() == RunStatus.SUCCESS


def test_a_step_that_waits_parks_the_run_and_holds_up_what_needs_it_alone() -> None:
    progress = Progress(made(step("ask"), step("after", "ask"), step("beside")))

    assert walk(progress, {"ask": StepState.WAITING}) == ["ask", "beside"]
    assert (progress.status(), progress.waiting) == (RunStatus.WAITING, ["ask"])

    progress.end("ask", StepState.OK)
    assert walk(progress, {}) == ["after"]
    assert (progress.status(), progress.waiting) == (RunStatus.SUCCESS, [])


def test_a_run_that_goes_on_begins_nothing_that_is_over() -> None:
    found = made(step("a"), step("b", "a"), step("c", "b"), step("d", "b"))

    progress = Progress(found, {"a": StepState.OK, "b": StepState.OK, "c": StepState.OK})

    assert walk(progress, {}) == ["d"]


def test_what_was_skipped_for_a_failure_goes_on_skipping_in_a_later_process() -> None:
    found = made(step("a"), step("b", "a"), step("c", "b"))
    states = {"a": StepState.ERROR, "b": StepState.SKIPPED}

    assert walk(Progress(found, states, unhelpful=["b"]), {}) == ["(c)"]
    assert walk(Progress(found, {**states, "a": StepState.OK}), {}) == ["c"]


def test_after_a_cancel_nothing_begins() -> None:
    progress = Progress(made(step("a"), step("b", "a"), step("c")))
    progress.take()

    left = progress.cancel()
    progress.end("a", StepState.CANCELLED)

    assert [each.id for each in left] == ["b", "c"]
    assert (progress.take(), progress.status()) == (None, RunStatus.CANCELLED)


def test_a_state_changes_only_as_the_table_says() -> None:
    with pytest.raises(IllegalTransition, match="step a is ok and cannot become running"):
        checked("a", StepState.OK, StepState.RUNNING)


@given(st.data())
def test_any_graph_ends_with_every_step_over_and_none_begun_before_its_needs(
    data: st.DataObject,
) -> None:
    count = data.draw(st.integers(1, 12))
    steps = []
    for at in range(count):
        needs = data.draw(st.sets(st.integers(0, at - 1)) if at else st.just(set[int]()))
        on_error = data.draw(st.sampled_from([OnError.STOP, OnError.CONTINUE]))
        steps.append(step(str(at), *(str(each) for each in sorted(needs)), on_error=on_error))
    ends = data.draw(
        st.dictionaries(
            st.sampled_from([each.id for each in steps]),
            st.sampled_from([StepState.ERROR, StepState.TIMEOUT, StepState.OK]),
        )
    )
    progress = Progress(made(*steps))

    seen = walk(progress, ends)

    place = {name.strip("()"): at for at, name in enumerate(seen)}
    assert sorted(place) == sorted(each.id for each in steps)
    assert all(place[need] < place[each.id] for each in steps for need in each.needs)
    assert {*progress.states.values()} <= OVER
    has_failed = any(
        ends.get(each.id, StepState.OK) != StepState.OK
        and progress.states[each.id] != StepState.SKIPPED
        and each.on_error == OnError.STOP
        for each in steps
    )
    assert progress.status() == (RunStatus.FAILED if has_failed else RunStatus.SUCCESS)


def test_orders_of_a_definition_run_level_by_level(tmp_path: Path) -> None:
    found = workflow(
        tmp_path,
        {"id": "c", "order": 2, "code": "1"},
        {"id": "a", "order": 1, "code": "1"},
        {"id": "b", "order": 1, "code": "1"},
    )

    assert walk(Progress(found), {}) == ["a", "b", "c"]
