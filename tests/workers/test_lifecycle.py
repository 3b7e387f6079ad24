"""The life of a worker, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.errors import IllegalTransition
from flow_kernel.workers.lifecycle import Event, Restarts, State, can, step


def test_a_worker_that_is_asked_for_works_and_rests() -> None:
    state = State.STARTING
    for event in (Event.READY, Event.BEGIN, Event.BLOCK, Event.PROGRESS, Event.END, Event.BEGIN):
        state = step(state, event)
    assert state == State.BUSY


@given(st.sampled_from(State))
def test_every_state_can_end_in_death_and_death_in_nothing_else(state: State) -> None:
    assert step(state, Event.DIED) == State.DEAD
    assert [event for event in Event if can(State.DEAD, event)] == [Event.DIED]


@given(st.sampled_from(State), st.sampled_from(Event))
def test_what_cannot_happen_is_said(state: State, event: Event) -> None:
    if can(state, event):
        assert step(state, event) in State
    else:
        with pytest.raises(IllegalTransition, match=f"{state} cannot {event}"):
            step(state, event)


def test_three_deaths_in_a_minute_stop_the_fourth_start_and_the_next_minute_begins_anew() -> None:
    restarts = Restarts(most=3, within_s=60)
    for now in (0.0, 10.0):
        restarts.died(now)
    assert restarts.may_start(11.0)
    restarts.died(20.0)
    assert not restarts.may_start(21.0)
    assert restarts.may_start(61.0)
    restarts.died(62.0)
    assert not restarts.may_start(63.0)
    restarts.forget()
    assert restarts.may_start(63.0)
