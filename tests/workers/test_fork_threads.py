"""What starts a thread that a fork does no harm is imported ahead; what starts another is not."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from flow_kernel.workers.steps.host import StepHost
from tests.workers.steps.scripts import Steps
from tests.workers.trees import ROOT

_COUNTED = """
import os, sys, threading
from flow_kernel.workers.fork_threads import threads
import pyarrow
tids = os.listdir("/proc/self/task")
names = [open(f"/proc/self/task/{tid}/comm").read().strip() for tid in tids]
others = len(names) - names.count("jemalloc_bg_thd")
end = threading.Event(); threading.Thread(target=end.wait).start()
print("jemalloc_bg_thd" in names, threads() - others, flush=True)
end.set()
"""
_STEP = """
import sys
was_there = "pandas" in sys.modules
import pyarrow
pool = pyarrow.jemalloc_memory_pool()
kept = [pyarrow.allocate_buffer(1 << 20, memory_pool=pool) for _ in range(50)]
del kept[::2]
print(was_there, pool.bytes_allocated() >> 20)
"""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@pytest.fixture(autouse=True)
def arrow() -> None:
    pytest.importorskip("pyarrow")


def test_a_thread_of_jemalloc_does_not_count_and_any_other_does() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _COUNTED], cwd=ROOT, capture_output=True, check=True, timeout=60
    )

    assert ran.stdout == b"True 1\n"


def test_pandas_is_loaded_ahead_of_steps_and_works_in_each(tmp_path: Path) -> None:
    host = StepHost(preload=["pandas"])
    with asyncio.Runner() as runner:
        steps = Steps(runner, host, tmp_path)
        ends = [steps.run(steps.job(_STEP))[0].stdout for _ in range(3)]
        runner.run(host.close())

    assert (ends, host.unfit) == ([b"True 25\n"] * 3, {})
