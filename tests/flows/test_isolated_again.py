"""Cells that may run twice: where their worker dies they do, and no other cell does."""

import sys
from collections.abc import Iterator

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

DIES_ONCE = (
    "import os\nfrom pathlib import Path\nprint('run', os.getpid(), flush=True)\n"
    "with open('runs', 'a') as file: file.write('x')\n"
    "if len(Path('runs').read_text()) < {}: os.kill(os.getpid(), 9)\n"
    "came = len(sent)"
)


@pytest.fixture
def kernel(flow: Kernel) -> Iterator[Kernel]:
    runs = flow.cwd / "runs"
    yield flow
    runs.unlink(missing_ok=True)


def count(kernel: Kernel) -> int:
    return len((kernel.cwd / "runs").read_text(encoding="utf-8"))


@promise("isolated.again")
def test_a_cell_that_may_runs_again_with_all_that_it_was_sent(kernel: Kernel) -> None:
    ok(kernel, "sent = [1, 2, 3]")
    before = kernel.logs.records("worker", state="dead", reason="killed")
    ran = kernel.run(f"%%isolated --idempotent --out came\n{DIES_ONCE.format(2)}")
    assert ran.status == "ok", ran.error
    assert count(kernel) == 2
    assert len(set(ran.stdout.split())) == 3  # "run", and two processes
    assert "killed by SIGKILL" in ran.stderr
    assert "the cell runs again" in ran.stderr
    assert ok(kernel, "came") == "3"
    deaths = kernel.logs.records("worker", state="dead", reason="killed")
    assert len(deaths) == len(before) + 1


@promise("isolated.again")
def test_it_ends_with_the_third_death_and_with_a_limit_at_once(kernel: Kernel) -> None:
    ok(kernel, "sent = []")
    ran = kernel.run(f"%%isolated --fresh --idempotent\n{DIES_ONCE.format(9)}")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert count(kernel) == 3
    (kernel.cwd / "runs").unlink()
    deaf = "import signal\nfor one in (2, 15): signal.signal(one, signal.SIG_IGN)\n"
    code = f"{deaf}with open('runs', 'a') as file: file.write('x')\nwhile True: pass"
    # Of CPU: by the clock, one that gets none for a while is interrupted before it is deaf.
    ran = kernel.run(f"%%isolated --fresh --idempotent --cpu 0.2\n{code}")
    assert ran.error is not None
    assert count(kernel) == 1


@promise("isolated.again")
def test_no_other_cell_does(kernel: Kernel) -> None:
    ok(kernel, "sent = []")
    ran = kernel.run(f"%%isolated --fresh\n{DIES_ONCE.format(2)}")
    assert ran.error is not None
    assert ran.error["ename"] == "WorkerDied"
    assert count(kernel) == 1


@promise("isolated.again")
def test_one_in_the_background_does_as_well(kernel: Kernel) -> None:
    ok(kernel, "sent = [1]")
    ok(kernel, f"%%isolated --bg --idempotent --out came\n{DIES_ONCE.format(3)}")
    assert " ok " in ok(kernel, "%workers wait")
    assert count(kernel) == 3
