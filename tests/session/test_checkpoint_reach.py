"""A cell is judged by its code and by what it was given, never by luck."""

from collections.abc import Iterator

import pytest

from tests.session.following import Session, set_up

FRAMES = "import numpy as np, pandas as pd\ndf = pd.DataFrame({'a': [1., 2.]}); X = np.ones(3)"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


@pytest.mark.parametrize("cell", ["1 + 1", "print('x')", "# nothing", "", "[i for i in range(3)]"])
def test_a_cell_that_touches_no_variable_reaches_nothing(session: Session, cell: str) -> None:
    set_up(session, [FRAMES])
    assert session.run(cell).is_nothing
    assert session.tracker.to_save() == frozenset()


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("df.loc[0, 'a'] = 3", {"df"}),
        ("y = df['a'].sum()", {"df", "y"}),
        ("X += 1", {"X"}),
        ("z = np.sum(X)", {"X", "z"}),
        ("z = [x * 2 for x in X]", {"X", "x", "z"}),
        ("def f(v):\n    return v + X\n", {"f", "X"}),
        ("def f(v):\n    return v * 2\nf(X)", {"f", "X"}),
    ],
)
def test_a_cell_reaches_the_names_that_it_uses(
    session: Session, cell: str, names: set[str]
) -> None:
    set_up(session, [FRAMES])
    reach = session.run(cell)
    assert reach.everything is None
    assert reach.names >= names - {"x"}
    assert reach.names <= names


@pytest.mark.parametrize(
    "cell",
    [
        "exec('X[0] = 5')", "globals()['X'][0] = 5", "get_ipython().run_cell('X[0] = 5')",
        "%time X[0] = 5", "import sys", "from numpy import *", "a = A()", "_ + 1", "X.__class__",
        "pd.DataFrame.foo = 3", "raise ValueError", "import matplotlib.pyplot as plt",
    ],
)  # fmt: skip
def test_a_cell_that_may_do_anything_reaches_everything(session: Session, cell: str) -> None:
    set_up(session, [FRAMES, "class A: pass", "1"])
    assert session.run(cell).everything
    assert session.tracker.to_save() is None
