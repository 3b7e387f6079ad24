"""The WebSocket of the sandbox in a Jupyter Server: `GET /flow/sandbox`.

Made by `extension`: `Sandbox(…).handlers()` are the handlers to add, `close` ends
it. Who may connect is the server's business: its token or cookie, its identity, its authorizer
(whoever may execute in kernels), its checks of Host and Origin; here a token is no excuse for a
foreign Origin.
"""

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.auth.identity import (
    IdentityProvider,
    LegacyIdentityProvider,
    PasswordIdentityProvider,
)
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from flow_kernel.apps.sandbox.gate import Gate
from flow_kernel.apps.sandbox.settings import SandboxSettings
from flow_kernel.apps.sandbox.wire import MOST_BYTES
from flow_kernel.records.home import Home
from flow_kernel.session.person import user_name

if TYPE_CHECKING:
    from flow_kernel.apps.sandbox.connection import Connection
    from flow_kernel.apps.sandbox.engine import Engine
    from flow_kernel.apps.sandbox.task import Owner

PATH: Final = "/flow/sandbox"
_NO_ACCOUNTS: Final = (IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider)


class Sandbox:
    """One for a server; nothing is started before somebody connects.

    Args:
        home: Of the records; that of the dashboard at the same server.
        root: The directory that the server shows.
        settings: Bounds.
    """

    def __init__(self, home: Home, *, root: Path, settings: SandboxSettings | None = None) -> None:
        self.settings: SandboxSettings = settings or SandboxSettings()
        self._home = home
        self._root = root
        self._engine: Engine | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        self.gate: Gate = Gate(self.settings.max_connections, self.settings.connections_per_s)

    def handlers(self, base_url: str = "/") -> list[tuple[str, type[Any], dict[str, Any]]]:
        """What to add to the web application of the server."""
        return [(base_url.rstrip("/") + PATH, SandboxHandler, {"sandbox": self})]

    def engine(self) -> "Engine | None":
        """What has the tasks, made at the first call; None once it is closed.

        The first call imports it, which takes a tenth of a second: not in the loop of the server.
        """
        with self._lock:
            if self._engine is None and not self._is_closed:
                from flow_kernel.apps.sandbox.engine import Engine

                self._engine = Engine(self._home, root=self._root, settings=self.settings)
            return None if self._is_closed else self._engine

    def close(self) -> None:
        """End all tasks and workers."""
        with self._lock:
            self._is_closed = True
        if self._engine is not None:
            self._engine.close()


class SandboxHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """See the module."""

    auth_resource: str = "kernels"

    def initialize(self, sandbox: Sandbox) -> None:
        """Called by tornado."""
        self._sandbox = sandbox
        self._engine: Engine | None = None
        self._connection: Connection | None = None

    def set_default_headers(self) -> None:
        """Those of pages make no sense here."""

    def skip_check_origin(self) -> bool:
        """Never: a page of another origin that has got hold of a token is still a foreign page."""
        return False

    def get_compression_options(self) -> Any:
        """As for the server's other WebSockets."""
        return self.settings.get("websocket_compression_options", None)

    def get_websocket_protocol(self) -> Any:
        """As tornado has it, but without pings of its own: those of the mixin are sent.

        Both read the same two names, the mixin as milliseconds and tornado as seconds: it would
        ping for the first time after eight hours, and warns of a timeout above the interval.
        """
        protocol: Any = super().get_websocket_protocol()
        if protocol is not None:
            protocol.params.ping_interval = protocol.params.ping_timeout = None
        return protocol

    @property
    def max_message_size(self) -> int:
        """More than that and tornado closes the connection; less is refused with a reason."""
        return 4 * MOST_BYTES

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """The handshake."""
        user = self.current_user
        allowed = await ensure_async(
            self.authorizer.is_authorized(self, user, "execute", self.auth_resource)
        )
        if not allowed:
            raise HTTPError(403)
        self._engine = await asyncio.to_thread(self._sandbox.engine)
        if self._engine is None:
            raise HTTPError(503, "the server ends")
        refusal = self._sandbox.gate.refusal()
        if refusal is not None:
            raise HTTPError(*refusal)
        await super().get(*args, **kwargs)

    async def open(self, *args: Any, **kwargs: Any) -> None:
        """Somebody is there."""
        from flow_kernel.apps.sandbox.connection import Connection  # small, once there is an engine

        super().open(*args, **kwargs)
        self.set_nodelay(True)
        gate, engine = self._sandbox.gate, self._engine
        if engine is None:  # the handshake has made sure of it
            return
        self._connection = Connection(
            engine, self._owner(), self._send, connections=lambda: gate.open
        )
        gate.open += 1  # as it is given back: where there is a connection
        engine.warm_up()

    async def on_message(self, message: str | bytes) -> None:
        """A message; the next one is read when it is done with."""
        if self._connection is not None:
            try:
                await self._connection.take(message)
            except WebSocketClosedError:
                return

    def on_close(self) -> None:
        """Nobody is there any more."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._sandbox.gate.open -= 1
            connection.close()

    async def _send(self, data: bytes) -> None:
        await self.write_message(data)

    def _owner(self) -> "Owner":
        """Who is there; without accounts, all who know the token are who has started the server."""
        from flow_kernel.apps.sandbox.task import Owner  # as above

        if type(self.identity_provider) in _NO_ACCOUNTS:
            return Owner(name=user_name())
        return Owner(name=str(self.current_user.username))
