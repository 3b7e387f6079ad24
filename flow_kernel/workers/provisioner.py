"""The kernel provisioner `flow-zygote`: a kernel as a fork of a process that has imported it.

Called by jupyter_client, which finds it through its entry point, for `workers.starter`. A
kernelspec of somebody else's may name it as well: it then has a zygote of its own.
"""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jupyter_client.provisioning import LocalProvisioner

from flow_kernel.workers.here import directory
from flow_kernel.workers.zygote_client import ForkedProcess, ZygoteClient

NAME: Final = "flow-zygote"
ORDER: Final = "flow_order"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkOrder:
    """What `starter` passes through `KernelManager.start_kernel`.

    Attributes:
        client: The zygote.
        fds: stdout, stderr and what else the worker is to keep; copies are sent.
    """

    client: ZygoteClient
    fds: Sequence[int]


class FlowZygoteProvisioner(LocalProvisioner):  # type: ignore[misc]  # jupyter_client has no types
    """Forks the kernel instead of starting a program."""

    process: ForkedProcess | None = None
    _own: ZygoteClient | None = None

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Fork a worker for the connection file in `cmd`."""
        order: ForkOrder | None = kwargs.pop(ORDER, None)
        if order is None:
            order = await asyncio.to_thread(self._order)
        self.process = order.client.fork(
            cmd[cmd.index("-f") :],
            env=kwargs["env"],
            cwd=str(kwargs.get("cwd") or directory()),
            fds=order.fds,
        )
        pid = self.process.pid
        self.pid: int | None = pid
        self.pgid: int | None = pid
        return self.connection_info

    async def cleanup(self, restart: bool = False) -> None:
        """Give back what was taken for this kernel."""
        await super().cleanup(restart=restart)
        if self._own is not None and not restart:
            await asyncio.to_thread(self._own.close)
            self._own = None

    def _order(self) -> ForkOrder:
        if self._own is None or not self._own.is_alive:
            self._own = ZygoteClient(Path(tempfile.mkdtemp(prefix="flow-")), os.environ)
            self._own.start()
        return ForkOrder(client=self._own, fds=(1, 2))
