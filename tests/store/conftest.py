"""Fixtures of the tests of the store."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.store.stores import NAMESPACE


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A folder to mount on; skips where mounting is refused."""
    if (
        not shutil.which("unshare")
        or subprocess.run(
            [*NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path],
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("mounting a file system is refused here")
    return tmp_path
