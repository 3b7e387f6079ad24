"""The random numbers after a way back are those that came after the checkpoint."""

import random
from collections.abc import Iterator

import numpy as np
import pytest

from flow_kernel.session.checkpoints.hidden_state import hidden_state, is_hidden, restore
from tests.session.saved_values import saved_and_loaded


@pytest.fixture(autouse=True)
def dice_of_the_tests() -> Iterator[None]:
    states = hidden_state()
    yield
    restore(states)


def test_the_functions_of_random_and_numpy_go_on_from_where_they_were() -> None:
    random.gauss(0, 1), np.random.standard_normal()
    kept, saved = saved_and_loaded(hidden_state())
    expected = (random.gauss(0, 1), random.random(), np.random.standard_normal(3).tolist())
    assert saved.not_saved == []
    restore({name: state for name, state in kept.items() if is_hidden(name)})
    assert (
        random.gauss(0, 1),
        random.random(),
        np.random.standard_normal(3).tolist(),
    ) == expected


def test_no_variable_can_have_a_name_of_theirs() -> None:
    assert [name for name in hidden_state() if name.isidentifier() or not is_hidden(name)] == []
