"""Magics, namespaces, history and inspection on a stock kernel and on ours are equal."""

from typing import Final

import pytest

from tests.pairs import Pair, effects
from tests.programs import programs
from tests.promises import promise

SESSION: Final = programs("session")


@promise("transparent.session")
@pytest.mark.parametrize("name", SESSION)
def test_a_session_behaves_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*SESSION[name])

    assert effects(flow) == effects(stock)
