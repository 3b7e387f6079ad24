"""File systems of a test's own, mounted where that is allowed.

Called by tests that need a full disk or a read-only one.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

# A mount of one's own needs no rights where user namespaces are allowed, and goes with the process.
NAMESPACE: Final = ("unshare", "--user", "--map-root-user", "--mount")


def require_mounts(folder: Path) -> None:
    """Skip the test where nothing can be mounted on `folder`."""
    mount = [*NAMESPACE, "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if (
        not shutil.which("unshare")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("mounting a file system is refused here")
