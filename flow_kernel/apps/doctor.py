"""`jupyter flow doctor`: is this installation whole? It starts the kernel and runs a cell.

Called by `cli`.
"""

import argparse
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.manager import KernelManager

from flow_kernel._version import __version__
from flow_kernel.apps import kernelspec
from flow_kernel.apps.sources import find_home
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.records.home import Home, network_file_system
from flow_kernel.records.scan import read_records

_START_S: Final = 60.0
_CELL_S: Final = 20.0
_LEAST: Final = {"ipykernel": (7, 4), "IPython": (9, 0)}
_BASE: Final = ("ipykernel", "IPython", "jupyter_client", "traitlets", "pyzmq", "orjson", "psutil")
_SELF_TEST: Final = "flow_kernel.shell.selftest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `doctor`."""
    add = parser.add_argument
    add("--json", action="store_true", help="one document for programs")
    add("--home", metavar="DIR", help="the home to look at; default: that of this directory")
    parser.epilog = "example: jupyter flow doctor --json"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Look at everything and print it; 1 when something is wrong."""
    home = find_home(terminal, options.home)
    checks = []
    if not options.json:
        terminal.print(f"flow_kernel {__version__}, Python {platform.python_version()}")
    for check in _checks(home):
        checks.append(check)
        if not options.json:
            terminal.print(_line(check, terminal))
            terminal.flush()
    ok = all(check.ok for check in checks)
    if options.json:
        terminal.document(
            {
                "ok": ok,
                "version": __version__,
                "python": platform.python_version(),
                "home": str(home.root),
                "checks": [asdict(check) for check in checks],
            }
        )
    return 0 if ok else 1
