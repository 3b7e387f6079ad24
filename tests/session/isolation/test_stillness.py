"""Whether anything can have changed the session's variables."""

import pytest

from flow_kernel.session.isolation.stillness import Stillness


def noted(*sources: str) -> Stillness:
    still = Stillness(lambda: ())
    for source in sources:
        still.note(compile(source, "<cell>", "exec"))
    return still


def test_isolated_cells_and_our_magics_leave_it_still() -> None:
    still = noted(
        "get_ipython().run_cell_magic('isolated', '--out x', 'x = {1: 2}')",
        "get_ipython().run_line_magic('task', 'log done')",
    )
    assert still.mark == 0


@pytest.mark.parametrize(
    "source",
    [
        "x.append(1)",
        "get_ipython().run_cell_magic('time', '', 'x.append(1)')",
        "get_ipython().run_line_magic('run', 'isolated.py')",
        "y = get_ipython().run_cell_magic('isolated', '', x.pop())",
        "get_ipython().run_cell_magic('isolated', '', '1'); x.pop()",
        "get_ipython().run_line_magic('task', 'log {x.append(2)}')",
        "get_ipython().run_line_magic('task', 'log $x.pops')",
        "get_ipython().run_cell_magic('isolated', '--in {x.append(2)}', '1')",
        "get_ipython().run_line_magic('run', 'task')",
        "get_ipython().run_line_magic('task', 'run') or "
        "get_ipython().run_line_magic('run', 'task')",
    ],
)
def test_everything_else_stirs(source: str) -> None:
    assert noted(source).mark == 1


def test_who_cannot_look_around_knows_nothing() -> None:
    assert Stillness(None).mark is None
    assert Stillness(lambda: ("a thread runs",)).mark is None


def test_a_seed_is_noticed_wherever_it_is_named() -> None:
    assert not noted("random.random()").has_seeded
    assert noted("random.seed(1)").has_seeded
    assert noted("def f():\n    return np.random.default_rng(2)").has_seeded
