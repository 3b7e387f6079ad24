"""Programs on a stock kernel and on ours: everything that a program or its user sees is equal.

Each program is a list of cells in an empty namespace; replies, output, results, errors and displays
are compared whole.
"""

from typing import Final

import pytest

from tests.pairs import Pair, effects
from tests.programs import programs
from tests.promises import promise

OBJECTS: Final = programs("objects")
OUTPUT: Final = programs("output")


@promise("transparent.objects")
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_live_and_die_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*OBJECTS[name])

    assert effects(flow) == effects(stock)


@promise("transparent.output")
@pytest.mark.parametrize("name", OUTPUT)
def test_a_cell_shows_what_it_shows_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*OUTPUT[name])

    assert effects(flow) == effects(stock)
