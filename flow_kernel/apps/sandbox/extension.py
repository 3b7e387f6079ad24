"""The sandbox as a Jupyter Server extension of its own.

Loaded by Jupyter Server, which finds it in `jupyter_server_config.d/flow_kernel.json`, and by
`jupyter flow serve`.
"""

import asyncio
from typing import Any

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float, Int

from flow_kernel.apps.sandbox.engine import SandboxSettings
from flow_kernel.apps.sandbox.server import Sandbox
from flow_kernel.apps.server.served_home import home_of, root_of

_DEFAULT = SandboxSettings()


class FlowSandboxApp(ExtensionApp):
    """Adds `GET /flow/sandbox`."""

    name: Any = "flow_sandbox"
    max_connections: Any = Int(_DEFAULT.max_connections, help="At a time.").tag(config=True)
    max_tasks: Any = Int(_DEFAULT.max_tasks, help="That run or wait.").tag(config=True)
    keep_s: Any = Float(_DEFAULT.keep_s, help="What a task has said is kept so long.").tag(
        config=True
    )
    output_bytes: Any = Int(_DEFAULT.output_bytes, help="Most that one task says.").tag(config=True)
    heartbeat_s: Any = Float(_DEFAULT.heartbeat_s, help="Between two signs of life.").tag(
        config=True
    )

    _sandbox: Sandbox | None = None

    def initialize_handlers(self) -> None:
        """Called by the server."""
        settings = SandboxSettings(
            max_connections=self.max_connections,
            max_tasks=self.max_tasks,
            keep_s=self.keep_s,
            output_bytes=self.output_bytes,
            heartbeat_s=self.heartbeat_s,
        )
        self._sandbox = Sandbox(
            home_of(self.serverapp), root=root_of(self.serverapp), settings=settings
        )
        self.handlers.extend(self._sandbox.handlers())

    async def stop_extension(self) -> None:
        """Called by the server at its end."""
        if self._sandbox is not None:
            await asyncio.to_thread(self._sandbox.close)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": FlowSandboxApp}]
