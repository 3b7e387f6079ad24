"""The environment in which what is tested runs: ours, without what the test run put there."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

_DROPPED = ("FLOW_", "MAKE", "PYTEST_", "COV_", "JPY_", "MPLBACKEND", "IPYTHON", "USE_SUBPROCESS")


def environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Our environment without what the test run itself put there, with `changes` applied."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(_DROPPED)}
    # A kernel started as plain `python` is the one that runs the tests.
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    for name, value in changes.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env
