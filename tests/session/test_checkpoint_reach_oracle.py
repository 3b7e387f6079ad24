"""No change is missed: whatever differs afterwards was named before; and little else is named."""

from collections.abc import Iterator

import pytest

from tests.session.following import Session, set_up
from tests.session.mutators import Mutator, multiplied, written
from tests.session.oracle import Oracle
from tests.session.oracle import oracle as open_oracle
from tests.session.ordinary_cells import CELLS, SETUP

# pandas warns of `inplace`, which would fail the cell before it changes anything.
pytestmark = pytest.mark.filterwarnings("ignore")
MUTATORS = [
    # Those that only combine an operation and a way that others have each are behind `make soak`.
    *(pytest.param(one, marks=() if one.is_quick else pytest.mark.soak) for one in multiplied()),
    *written(),
]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    session.run_quietly("import numpy, pandas, matplotlib.pyplot")
    yield session
    session.close()


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with open_oracle() as oracle:
        yield oracle


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda one: one.name)
def test_no_change_is_missed(oracle: Oracle, mutator: Mutator) -> None:
    verdict = oracle.ask(mutator)

    assert verdict.doubts == (), "the next ones would be judged by it"
    assert verdict.missed == set()
    assert verdict.is_change, "it is no mutator"


def test_ordinary_cells_reach_names_alone(session: Session) -> None:
    set_up(session, [SETUP])
    reasons = {cell: session.run(cell).everything for cell in CELLS}
    assert {cell: why for cell, why in reasons.items() if why is not None} == {}


def test_ordinary_cells_do_not_reach_what_they_do_not_name(session: Session) -> None:
    set_up(session, [SETUP])
    for cell in CELLS[:10]:  # they only look at one frame
        session.run(cell)
    assert session.tracker.to_save() == frozenset()
    session.run("df['price'] = df['price'].fillna(df['price'].median())")
    assert session.tracker.to_save() == {"df"}


def test_no_change_of_an_ordinary_cell_is_missed(session: Session) -> None:
    before = set_up(session, [SETUP])
    for cell in CELLS:
        session.run(cell)
        after = session.save()
        assert session.missed(before, after) == set(), cell
