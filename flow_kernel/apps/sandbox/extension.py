"""The sandbox as a Jupyter Server extension of its own.

Loaded by Jupyter Server, which finds it in `jupyter_server_config.d/flow_kernel.json`, and by
`jupyter flow serve`. What only a connection needs is imported with the first one.
"""

import asyncio
import math
from dataclasses import fields
from typing import Any, Final

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float, Int, TraitError, validate

from flow_kernel.apps.sandbox.server import Sandbox
from flow_kernel.apps.sandbox.settings import SandboxSettings
from flow_kernel.apps.server.served_home import home_of, root_of

_DEFAULT: Final = SandboxSettings()


def _whole(name: str, least: int, meaning: str) -> Any:
    return Int(getattr(_DEFAULT, name), min=least, help=meaning).tag(config=True)


def _number(name: str, least: float, meaning: str) -> Any:
    return Float(getattr(_DEFAULT, name), min=least, help=meaning).tag(config=True)


class FlowSandboxApp(ExtensionApp):
    """Adds `GET /flow/sandbox`; its settings are those of `SandboxSettings`."""

    name: Any = "flow_sandbox"
    max_connections: Any = _whole("max_connections", 1, "connections at a time")
    connections_per_s: Any = _number(
        "connections_per_s", 0.1, "new connections a second, after a burst of `max_connections`"
    )
    max_tasks: Any = _whole("max_tasks", 1, "tasks that run or wait, of all users")
    kept_tasks: Any = _whole(
        "kept_tasks",
        0,
        "tasks of each user that are kept after their end, besides those that are read",
    )
    keep_s: Any = _number("keep_s", 0.0, "seconds that a task is kept after its end")
    remembered_tasks: Any = _whole(
        "remembered_tasks",
        0,
        "ids of each user that are not given to a second task when the first is not kept any more",
    )
    remember_s: Any = _number("remember_s", 0.0, "seconds that an id is remembered for that")
    output_bytes: Any = _whole(
        "output_bytes", 1, "most that one task may say; one that says more is ended"
    )
    spool_bytes: Any = _whole(
        "spool_bytes", 0, "most that all tasks together may keep on the disk of the home"
    )
    reserve_bytes: Any = _whole(
        "reserve_bytes", 0, "what the tasks leave free on the disk of the home"
    )
    heartbeat_s: Any = _number("heartbeat_s", 0.1, "seconds between two messages `heartbeat`")

    _sandbox: Sandbox | None = None

    @validate("connections_per_s", "keep_s", "remember_s", "heartbeat_s")
    def _finite(self, proposal: Any) -> float:
        value = float(proposal["value"])
        if not math.isfinite(value):  # the bounds of traitlets let it through
            raise TraitError(f"{proposal['trait'].name} is a finite number, not {value}")
        return value

    def initialize_handlers(self) -> None:
        """Called by the server; raises `TraitError` for a setting that makes no sense.

        The server has logged that before, and would go on with bounds that nobody has asked for.
        """
        server: Any = self.serverapp
        self.update_config(server.config)
        names = [each.name for each in fields(SandboxSettings) if self.has_trait(each.name)]
        settings = SandboxSettings(**{name: getattr(self, name) for name in names})
        self._sandbox = Sandbox(home_of(server), root=root_of(server), settings=settings)
        self.handlers.extend(self._sandbox.handlers())

    async def stop_extension(self) -> None:
        """Called by the server at its end."""
        if self._sandbox is not None:
            await asyncio.to_thread(self._sandbox.close)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": FlowSandboxApp}]
