"""The suites of ipykernel and nbclient, with the kernel under test in place of ipykernel.

Soak: each runs twice, for some minutes, in an environment of its own. That of Jupyter for kernels
is `test_clients.py::TestConformance`.
"""

import pytest

from tests.kernels import FLOW, STOCK
from tests.promises import promise
from tests.suites import SUITES, NoSuite, passed


@pytest.mark.soak
@promise("clients.suites")
@pytest.mark.parametrize("name", SUITES)
def test_a_suite_passes_as_with_stock_ipykernel(name: str) -> None:
    try:
        stock = passed(name, STOCK)
    except NoSuite as reason:
        pytest.skip(str(reason))
    flow = passed(name, FLOW)

    assert len([test for test, why in stock.items() if not why]) > 50
    lost = [test for test, why in stock.items() if not why and flow.get(test, "absent")]
    # Some of these tests race with the kernel: one that fails has a second try, in a new process.
    again = passed(name, FLOW, only=lost) if lost else {}
    assert {test: flow.get(test, "absent") for test in lost if again.get(test, "absent")} == {}
