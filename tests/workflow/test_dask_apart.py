"""The tests with real Dask clusters, in a process of their own.

What Dask brings along changes how each exception of its process is pickled and how installed
packages are found, for good: other tests would no longer test what they are about.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import ROOT

FILES = [
    str(path)
    for path in sorted(ROOT.glob("tests/**/test_*.py"))
    if path.name != Path(__file__).name and "mark.apart" in path.read_text("utf-8")
]
"""Those that have such tests: to collect all others takes seconds."""


@pytest.mark.timeout(300)
def test_the_executor_on_dask_keeps_all_promises() -> None:
    env = {name: value for name, value in os.environ.items() if "PYTEST" not in name}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "apart", *FILES],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]
