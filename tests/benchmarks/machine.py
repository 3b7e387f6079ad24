"""What the figures were taken on.

Called by `run.py`, `peers.py`, `checkpoints.py` and `pools.py`, for the documents they write.
"""

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
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
        "model": _model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "load": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def _model() -> str | None:
    """What the processor calls itself, if it does."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return None if found is None else found[1].strip()
