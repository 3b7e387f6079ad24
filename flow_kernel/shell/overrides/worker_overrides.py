"""Where a worker does otherwise than ipykernel, which knows no session that it works for.

Used by `shell.worker.app`. Proven for ipykernel 7.0 to 7.4.
"""

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Final

from ipykernel.comm.comm import BaseComm
from ipykernel.ipkernel import IPythonKernel

from flow_kernel.workers.messages import TARGET

_ROUTE: Final = "_reply_subshell_for"


@contextmanager
def no_debugger_looks() -> Iterator[None]:
    """Keep ipykernel from listing the file of each module for a debugger that nobody can ask for.

    In a fork that copies a page of memory for nearly every module: a fifth of its start.
    """
    ipkernel: Any = import_module(IPythonKernel.__module__)
    known = {name: getattr(sys, name) for name in dir(sys) if name != "modules"}
    ipkernel.sys = SimpleNamespace(**known, modules={})
    try:
        yield
    finally:
        ipkernel.sys = sys


def let_comms_speak(shell: Any) -> None:
    """Have a comm's messages heard while a cell keeps the main thread.

    ipykernel 7.4 sends what a client says over a subshell to the loop that used the comm last,
    which does not turn while such a cell runs. While one awaits, it does, and is the right place.
    """
    stock = getattr(BaseComm, _ROUTE, None)
    if stock is None or not is_usable():  # another version, which may not send it elsewhere
        return

    def route(comm: Any, data: Any, default: Any) -> Any:
        return default if shell.is_blocking and default is not None else stock(comm, data, default)

    BaseComm._reply_subshell_for = route


def tell_targets(kernel: Any) -> None:
    """Have the session know for which names of comms it may send what clients open."""
    stock = kernel.comm_manager.register_target

    def register(target_name: str, f: Any) -> None:
        stock(target_name, f)
        kernel.session.send(kernel.iopub_socket, TARGET, {"target_name": target_name})

    kernel.comm_manager.register_target = register


def is_usable() -> bool:
    """True where ipykernel asks as we know it, or not at all, where a comm's messages go."""
    stock: Any = getattr(BaseComm, _ROUTE, None)
    try:
        return stock is None or [*inspect.signature(stock).parameters] == [
            "self",
            "data",
            "default",
        ]
    except (TypeError, ValueError):
        return False
