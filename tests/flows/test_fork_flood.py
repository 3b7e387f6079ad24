"""A copy of a session that says more than anybody reads: it waits, nothing grows or is lost."""

import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.flows.test_isolated_flood import Reader, peaks
from tests.isolating import ok
from tests.kernels import Kernel
from tests.promises import promise

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")

MB = 1_000_000
FLOODS = {
    "long prints": ("for _ in range(60): print('x' * 999_999)", 60 * MB),
    "native code": (
        "import subprocess\n_ = subprocess.run(['sh', '-c', 'yes 123456789 | head -c 50000000'])",
        50 * MB,
    ),
    "displays": (
        "for _ in range(60): display({'text/plain': 'x' * 1_000_000}, raw=True)",
        60 * MB,
    ),
}


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    """What it gives back is gone: the allocator of C keeps it else, most where much is to do."""
    env = {"MALLOC_MMAP_THRESHOLD_": "131072"}
    with Kernel(env=env, is_cold=True) as kernel:
        yield kernel.ready()


@promise("fork.relay")
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_waits_for_the_slowest_client_and_loses_nothing(kernel: Kernel, flood: str) -> None:
    code, nbytes = FLOODS[flood]
    ok(kernel, "%%isolated --fork\nprint('warm')")
    (kernel.cwd / "begun").unlink(missing_ok=True)
    with closing(Reader(kernel)) as reader, peaks(kernel.pid) as grown:
        msg_id = kernel.send(
            f"%%isolated --fork\nimport os; open('begun', 'w').close()\n{code}\nprint(end='')"
        )
        kernel.wait((kernel.cwd / "begun").exists)
        assert reader.read(msg_id) == nbytes
        assert kernel.collect(msg_id).status == "ok"
    assert grown[0] < 30 * MB
