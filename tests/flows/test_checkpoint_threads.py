"""Threads of a notebook take checkpoints as well: one at a time, and nobody waits for ever."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoint_kernels import flow, ran
from tests.kernels import Kernel
from tests.promises import promise

START = (
    "import os, fractions, threading, flow_kernel; session = flow_kernel.current_session()\n"
    "def until(name):\n"
    "    while not os.path.exists(name): pass\n"
    "def begun(work):\n"
    "    thread = threading.Thread(target=work); thread.start(); return thread"
)
# Once a file `back` is there, its way back waits for a file `go`.
SLOW = (
    "def loaded():\n"
    "    if os.path.exists('back'): open('loading', 'w').close(); until('go')\n"
    "    return Slow(1)\n"
    "class Slow(fractions.Fraction):\n"
    "    def __reduce__(self): return loaded, ()\n"
    "slow = Slow(1)"
)
# Whatever forks in another thread than the main one waits for a file, as in a slow `fork`.
SLOW_FORK = (
    "def wait():\n"
    "    if threading.current_thread() is not threading.main_thread():\n"
    "        open('forking', 'w').close(); until('go')\n"
    "os.register_at_fork(before=wait)"
)


@pytest.fixture(params=[0, 1], ids=["asked", "every_cell"])
def every(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def kernel(tmp_path: Path, every: int) -> Iterator[Kernel]:
    config = (f"--FlowKernel.checkpoint_every_cells={every}",)
    with Kernel(arguments=config, env={"JUPYTER_DATA_DIR": str(tmp_path / "data")}) as kernel:
        kernel.ready()
        ran(kernel, START)
        yield kernel


def listed(kernel: Kernel) -> list[dict[str, Any]]:
    """From the first to the last."""
    items = json.loads(flow(kernel, "checkpoints", "--json").stdout)["items"]
    return sorted(items, key=lambda one: str(one["created_at"]))


@promise("checkpoint.background")
def test_of_those_that_threads_take_at_once_each_follows_another(kernel: Kernel) -> None:
    ran(
        kernel,
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    made = list(pool.map(lambda i: session.checkpoint(f'c{i}').wait().name, range(16)))\n"
        "assert made == [f'c{i}' for i in range(16)]",
        "session.checkpoints.settle()",
    )

    found = listed(kernel)
    assert {f"c{i}" for i in range(16)} <= {one["name"] for one in found}
    assert len({one["parent_id"] for one in found}) == len(found)
    assert flow(kernel, "checkpoints", "verify").returncode == 0


@promise("checkpoint.background")
def test_cells_go_on_while_a_thread_takes_one_after_the_other(kernel: Kernel) -> None:
    ran(
        kernel,
        "n = [0]; made = []; stop = threading.Event()\n"
        "def take():\n"
        "    while not stop.is_set(): made.append(session.checkpoint(wait=True).wait())\n"
        "thread = begun(take)",
    )
    for count in range(1, 16):
        ran(kernel, f"n[0] = {count}\n{'%checkpoint' if count % 4 == 0 else 'n[0]'}")
    ran(kernel, "stop.set(); thread.join(); session.checkpoints.settle(); assert len(made) > 1")

    found = listed(kernel)
    assert len({one["parent_id"] for one in found}) == len(found)
    assert ran(kernel, "n[0] = -1", "%checkpoint last --wait", "n = 0", "%rollback last", "n") == (
        "[-1]"
    )


@promise("checkpoint.background", "rollback.undoable")
def test_one_that_a_thread_asks_for_during_a_way_back_comes_after_it(kernel: Kernel) -> None:
    ran(kernel, SLOW, "%checkpoint a --wait", "slow = 0; open('back', 'w').close()")
    ran(kernel, "thread = begun(lambda: (until('loading'), session.checkpoint('during').wait()))")
    request = kernel.send(
        "[join() for join in [thread.join] if session.rollback('a', what='state')]"
    )
    kernel.wait((kernel.cwd / "loading").exists)
    (kernel.cwd / "go").touch()
    assert kernel.collect(request).status == "ok"

    by_name = {str(one["name"]): one for one in listed(kernel)}
    assert by_name["during"]["parent_id"] == by_name["a"]["checkpoint_id"]


@promise("checkpoint.background")
def test_whoever_waits_for_the_moment_of_another_thread_hears_the_interrupt(
    kernel: Kernel,
) -> None:
    ran(kernel, SLOW_FORK, "thread = begun(lambda: session.checkpoint('first').wait())")
    kernel.wait((kernel.cwd / "forking").exists)
    request = kernel.send("print('at it', flush=True); session.checkpoint('second')")
    kernel.wait_for_text("at it")
    kernel.interrupt()
    assert kernel.collect(request).reply.get("ename") == "KeyboardInterrupt"
    (kernel.cwd / "go").touch()

    ran(kernel, "thread.join(); session.checkpoints.settle()")
    assert [one["name"] for one in listed(kernel) if one["reason"] == "asked"] == ["first"]
    assert ran(kernel, "%checkpoint third --wait").startswith("checkpoint third")
