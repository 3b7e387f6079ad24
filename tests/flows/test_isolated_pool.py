"""A walk at random over all that a pool of workers is asked for, while workers are killed."""

import os
import random
import signal
import sys
from contextlib import suppress

import pytest

from tests.isolating import is_gone, ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

BEGIN = "hs.append(get_ipython().run_cell_magic('isolated', {line!r}, {code!r}))"
LIVES = (
    "from flow_kernel import current_session as s; "
    "[w.pid for w in s().isolation.pool.workers if w.pid]"
)
CODES = ("1 + 1", "import time; time.sleep(0.05)", "while True: pass", "1 / 0",
         "import os; os._exit(3)", "import os; os.abort()", "print('x' * 100_000)")  # fmt: skip


@promise("isolated.background", "isolated.survives")
def test_forty_operations_at_random_leave_nothing_undone() -> None:
    walk(random.Random(0), steps=40)


@promise("isolated.background", "isolated.survives")
@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(1, 5))
def test_a_thousand_operations_at_random_leave_nothing_undone(seed: int) -> None:
    walk(random.Random(seed), steps=250)


def walk(dice: random.Random, *, steps: int) -> None:
    """Each job ends, each worker that is left is one of the pool's, and the session works."""
    with Kernel(arguments=("--WorkerPool.max_workers=4",)) as kernel:
        kernel.ready()
        ok(kernel, "hs = []; kept = [1]")
        seen: set[int] = set()
        for _ in range(steps):
            what = dice.choice(("begin", "begin", "begin", "run", "cancel", "kill", "look"))
            if what == "begin":
                worker = dice.choice(("", "", "--worker a ", "--worker b "))
                line = f"--bg {worker}--priority {dice.randrange(3)} --timeout 2"
                ok(kernel, BEGIN.format(line=line, code=dice.choice(CODES)) + "; None")
            elif what == "run":
                kernel.run(f"%%isolated --fresh\n{dice.choice(CODES[3:])}")
            elif what == "cancel":
                ok(kernel, f"hs and hs[{dice.randrange(99)} % len(hs)].cancel()")
            elif what == "kill":
                pids = eval(ok(kernel, LIVES))
                seen.update(pids)
                if pids:
                    with suppress(ProcessLookupError):
                        os.kill(dice.choice(pids), signal.SIGKILL)
            else:
                ok(kernel, "%workers")
            assert ok(kernel, "kept") == "[1]"
        assert ok(kernel, "all(h.wait(60) for h in hs)") == "True"
        states = set(eval(ok(kernel, "[h.state for h in hs]")))
        assert states <= {"ok", "error", "cancelled"}
        assert ok(kernel, "%%isolated --fresh\n1 + 1") == "2"
        living = set(eval(ok(kernel, LIVES)))
        assert all(is_gone(pid) for pid in seen - living)
    assert all(is_gone(pid) for pid in seen)


@promise("isolated.limits")
def test_a_cell_that_says_nothing_of_processes_is_ended_for_a_storm_of_them() -> None:
    many = "import subprocess\nmany = [subprocess.Popen(['sleep', '60.25']) for _ in range({})]\n"
    with Kernel(arguments=("--WorkerPool.max_processes=20",)) as kernel:
        ran = kernel.run(f"%%isolated\n{many.format(60)}many[0].wait()")
        assert ran.error is not None
        # Interrupted, or killed where they were twice as many when they were counted first.
        assert ran.error["ename"] in ("CellTimeout", "WorkerDied")
        assert "more than 20 processes" in ran.error["evalue"]
        ends = "for one in many: one.kill(); one.wait()"
        ok(kernel, f"%%isolated --processes 100\n{many.format(30)}{ends}")


@promise("isolated.background", "isolated.relay")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [1, pytest.param(60, marks=pytest.mark.soak)])
def test_ten_workers_that_say_a_megabyte_a_second_each_lose_nothing(seconds: int) -> None:
    code = (
        f"import time\nbegan = time.monotonic()\nfor i in range({100 * seconds}):\n"
        "    print('x' * 9_999)\n    time.sleep(max(0, began + i / 100 - time.monotonic()))"
    )
    with Kernel() as kernel:
        kernel.ready()
        begun = [kernel.run(f"%%isolated --bg\n{code}") for _ in range(10)]
        ok(kernel, "from flow_kernel import current_session as s")
        asked = kernel.send(
            "[j.wait(200) and j.state.value for j in s().isolation.background.jobs]"
        )
        assert kernel.collect(asked, timeout=250).result == str(["ok"] * 10)
        said = {ran.msg_id: len(kernel.stream(parent=ran.msg_id)) for ran in begun}
    assert said == {ran.msg_id: 10_000 * 100 * seconds for ran in begun}
