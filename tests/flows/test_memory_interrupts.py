"""Cells of real kernels that take memory: the one that takes the last of it is interrupted."""

import os
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

GROWS = (
    "import time; grown = []\n"
    "while len(grown) < 3000: grown.append(b'x' * 1_000_000); time.sleep(0.0005)\n"
)
"""A leak that ends at 3 GB, so that a test that fails hurts nobody."""


def kernel_at(folder: Path, share: float) -> Kernel:
    """A kernel whose cells are interrupted when that share of the memory is gone."""
    folder.mkdir(exist_ok=True)
    text = f"c.FlowKernel.memory_interrupt_at = {share}\n"
    (folder / "jupyter_flow_config.py").write_text(text, "utf-8")
    return Kernel(env={"JUPYTER_CONFIG_DIR": str(folder)})


def share_of(nbytes: int) -> float:
    """What part of the memory that is available `nbytes` are."""
    for line in Path("/proc/meminfo").read_text("utf-8").splitlines():
        if line.startswith("MemAvailable:"):
            return nbytes / (int(line.split()[1]) * 1024)
    raise AssertionError("no MemAvailable")


@pytest.fixture(scope="module")
def low(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose cells may take 150 MB."""
    folder = tmp_path_factory.mktemp("low")
    with kernel_at(folder, share_of(150_000_000)) as kernel:
        yield kernel.ready()


@promise("stuck.memory")
def test_a_cell_that_takes_the_memory_is_interrupted_told_why_and_loses_nothing(
    low: Kernel,
) -> None:
    ok(low, "kept = 5")
    ran = low.run(GROWS)
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert ran.stderr.startswith("flow: the cell was interrupted: it took ")
    assert "all variables stay; c.FlowKernel.memory_interrupt_at = 0" in ran.stderr
    assert low.logs.one("cell", msg_id=ran.msg_id)["success"] is False
    assert ok(low, "kept, 50 < len(grown) < 2000") == "(5, True)"
    assert ok(low, "del grown; 1 + 1") == "2"


@promise("stuck.memory")
def test_a_cell_that_goes_on_after_its_interrupt_is_interrupted_again(low: Kernel) -> None:
    code = f"try:\n    exec({GROWS!r})\nexcept KeyboardInterrupt: seen = len(grown)\n"
    more = "while len(grown) < 3000: grown.append(b'x' * 1_000_000); time.sleep(0.0005)"
    ran = low.run(code + more)
    assert ran.reply["ename"] == "KeyboardInterrupt"
    assert ran.stderr.count("flow: the cell was interrupted") == 2
    assert ok(low, "was_later = len(grown) > seen > 0; del grown; was_later") == "True"


@promise("stuck.memory")
def test_a_cell_beside_one_that_takes_the_memory_goes_on(low: Kernel, own: Kernel) -> None:
    quiet = low.send("import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\n'done'")
    assert ok(own, f"{GROWS.replace('3000', '600')}len(grown)") == "600"  # as it may
    (low.cwd / "go").touch()
    ran = low.collect(quiet)
    assert (ran.status, ran.result, ran.stderr) == ("ok", "'done'", "")


@promise("stuck.memory")
def test_a_kernel_in_a_small_control_group_is_not_killed() -> None:
    cold = partial(Kernel, is_cold=True)  # a child of ours, so that it is in our group
    with group_of(400_000_000) as group, inside(group, cold) as kernel:
        kernel.ready()
        for _ in range(2):
            ran = kernel.run(GROWS)
            assert ran.reply["ename"] == "KeyboardInterrupt"
            assert ok(kernel, "held = len(grown); del grown; 50 < held < 400") == "True"


def inside(group: Path, start: Callable[[], Kernel]) -> Kernel:
    """What `start` starts is in a control group, from its first moment."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        return start()
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def group_of(limit_bytes: int) -> Iterator[Path]:
    """A control group that what is started meanwhile is in; skips where none can be made."""
    lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    paths = [line.split(":", 2)[2] for line in lines if line.split(":")[1] == "memory"]
    if not paths:
        pytest.skip("there are no control groups of the first version")
    mine = Path("/sys/fs/cgroup/memory") / paths[0].lstrip("/")
    group = mine / uuid.uuid4().hex
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        yield group
    finally:
        group.rmdir()
