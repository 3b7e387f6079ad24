"""Cells that patch builtins, clear modules or lower limits do no more harm than in stock ipykernel.

Programs that put everything back share a pair of kernels; the others ruin one of their own.
"""

from typing import Final

import pytest

from tests.pairs import Pair, effects
from tests.programs import programs
from tests.promises import promise

SABOTAGE: Final = programs("sabotage")
WATCH: Final = programs("watch")["every_call_of_ours"]


RUINOUS: Final = {
    "clocks_that_fail",
    "monotonic_that_stands_still",
    "modules_cleared_but_those_of_the_kernel",
    "hashes_that_fail",
    "isinstance_that_lies",
    "json_that_fails",
    "modules_forgotten",
    "another_main_module",
    "get_ipython_shadowed",
    "own_excepthook_and_audit",
    "len_that_fails_for_one_object",
}


@promise("transparent.sabotage")
def test_the_recorder_calls_no_function_that_a_cell_can_patch(fresh_pair: Pair) -> None:
    cells = [
        *WATCH,
        "a = [1, 2]; s = 'text'",
        "a.append(3); print(s); a",
        "1/0",
        "import decimal, wave",
        "print(ours)",
    ]

    stock, flow = fresh_pair.run(*cells)

    assert flow[-1].stdout == stock[-1].stdout == "[]\n"


@promise("transparent.sabotage")
@pytest.mark.parametrize("name", [name for name in SABOTAGE if name not in RUINOUS])
def test_sabotage_that_is_mended_harms_as_in_stock_ipykernel(pair: Pair, name: str) -> None:
    pair.forget()

    stock, flow = pair.run(*SABOTAGE[name])

    assert effects(flow) == effects(stock)


@promise("transparent.sabotage")
@pytest.mark.parametrize("name", sorted(RUINOUS))
def test_sabotage_that_stays_harms_as_in_stock_ipykernel(fresh_pair: Pair, name: str) -> None:
    stock, flow = fresh_pair.run(*SABOTAGE[name])

    assert effects(flow) == effects(stock)
