"""Who calls a tool, and how they are told that it goes on.

Made by `serving` for each call; used by the tools.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flow_kernel.apps.mcp.cell_run import CellRun
from flow_kernel.apps.mcp.link import KernelLink


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One call.

    Attributes:
        actor: As records name it: `mcp:` and the name of the client.
        progress: Tells the client after how many seconds what is going on.
        started: Told of the run that ends with the call, where the client cancels it, and of the
            connection that it was sent on.
    """

    actor: str
    progress: Callable[[float, str], Awaitable[None]]
    started: Callable[[CellRun, KernelLink], None]
