"""What runs in a fork of the zygote of kernels: the Flow kernel, with all that it begins with.

Imported by `workers.kernel_zygote`, which calls `prepare` before its first fork and `run` in each.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from flow_kernel.shell.kernel import FlowKernelApp

_FIRST_USES: Final = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "flow_kernel.records.redaction",
    "jupyter_client",
    "psutil",
    "sqlite3",
    "tornado.platform.asyncio",
)
"""What a kernel imports while it starts, and at its first cell."""


def prepare() -> None:
    """Load what each fork would load by itself; starts no thread."""
    for name in _FIRST_USES:
        import_module(name)


def run(argv: Sequence[str]) -> None:
    """Run a kernel until it is shut down.

    Args:
        argv: Of the kernel: `-f FILE`.
    """
    sys.argv = [str(Path(__file__).parents[1] / "__main__.py"), *argv]
    # They were made when they led nowhere.
    for stream in (sys.__stdout__, sys.__stderr__):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=stream is sys.__stderr__ or stream.isatty())
    FlowKernelApp.launch_instance(list(argv))
