"""No change is missed: whatever differs afterwards was named before; and little else is named."""

from collections.abc import Iterator

import pytest

from tests.session.following import UNSAVED, Saving, Session, set_up
from tests.session.mutators import Mutator, multiplied, written
from tests.session.ordinary_cells import CELLS, SETUP

# pandas warns of `inplace`, which would fail the cell before it changes anything.
pytestmark = pytest.mark.filterwarnings("ignore")
MUTATORS = [*multiplied(), *written()]


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session()
    session.run_quietly("import numpy, pandas, matplotlib.pyplot")
    yield session
    session.close()


def differs(before: Saving, after: Saving) -> bool:
    return before.contents != after.contents or before.ids != after.ids


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda one: one.name)
def test_no_change_is_missed(session: Session, mutator: Mutator) -> None:
    before = set_up(session, mutator.setup, looks_for_code=bool(mutator.undo))
    for cell in mutator.cells:
        session.run(cell)
    after = session.save()
    if mutator.undo:
        assert session.run_quietly(mutator.undo)
        assert session.world().doubts == (), "the next ones would be judged by it"
    assert session.missed(before, after) == set()
    is_change = differs(before, after) or UNSAVED in after.contents.values()
    assert is_change, "it is no mutator"


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
