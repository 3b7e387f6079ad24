"""`jupyter flow lab`: JupyterLab with the kernel ready.

Called by `cli`.
"""

import argparse
import os
import sys
from importlib.util import find_spec
from typing import Final

from flow_kernel.apps import kernelspec
from flow_kernel.apps.tables import plain
from flow_kernel.apps.terminal import Terminal
from flow_kernel.errors import MissingExtra

PASSES_ARGUMENTS_ON: Final = True


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of `lab`: all go on to JupyterLab."""
    parser.usage = "jupyter flow lab [ARGUMENT...]"
    parser.epilog = (
        "All arguments go on to `jupyter lab`. example: jupyter flow lab --no-browser tour.ipynb"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Become JupyterLab; returns only when that cannot be started.

    Raises:
        MissingExtra: JupyterLab is not installed.
    """
    if find_spec("jupyterlab") is None:
        raise MissingExtra("JupyterLab", extra="lab")
    if kernelspec.find() is None:
        directory = kernelspec.install(prefix=sys.prefix)
        terminal.remark(plain(f"installed kernel {kernelspec.NAME} in {directory}"))
    terminal.flush()
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *options.rest])  # noqa: S606 - the user's own arguments, no shell
