"""What is recorded of isolated cells and their workers, and where a cell cannot get around one."""

import sys
from collections.abc import Iterator

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

SECRET = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        yield kernel.ready()


@pytest.fixture(scope="module")
def strict() -> Iterator[Kernel]:
    """A kernel that isolates each cell."""
    with Kernel(env={"USE_SUBPROCESS_WORKER": "1"}) as kernel:
        ok(kernel.ready(), "%task start Strict --steps a,b")
        yield kernel


@promise("isolated.recorded")
def test_the_record_of_a_worker_that_died_holds_no_secret(kernel: Kernel) -> None:
    filler = "-" * 470
    ran = kernel.run(
        f"%%isolated --fresh\nimport os\nprint('{SECRET[:20]}' + '{SECRET[20:]}' + '{filler}')\n"
        "os.abort()"
    )
    assert ran.status == "error"
    record = kernel.logs.wait("worker", state="dead", reason="killed")[-1]
    assert record["detail"]["last_output"] == f"[REDACTED:github_token]{filler}\n"
