"""What the figures were taken on.

Called by `run.py`, `peers.py`, `checkpoints.py` and `pools.py`, for the documents they write.
"""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

_PACKAGES: Final = ("flow_kernel", "ipykernel", "ipython", "pyzmq", "orjson", "pandas", "duckdb")


def machine(packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """What the figures were taken on; the load tells whether it was quiet."""
    versions = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions,
    }
