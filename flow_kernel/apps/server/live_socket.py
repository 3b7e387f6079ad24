"""The WebSocket on which a page is told what is new.

Added to a server by `extension`.

    {}                      first: what is written from now on is told; later: still here
    {"rows": […], "reload": false, "state": true, "workers": false, "running": […]}
                            at most four a second; `running` is null where it is as told before

The page sends nothing, and takes a connection that is silent for much longer than `PULSE_S` for a
dead one. One that reads slowly is told to reload; one that does not read at all is left.
"""

import asyncio
from typing import Any, Final

import orjson
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from flow_kernel.apps.server.base import RESOURCE, Guarded
from flow_kernel.apps.server.live import SPACING_S, Watcher

SENT_S: Final = 20.0
"""Longest that a peer may take to read one message."""
PING_S: Final = 20.0
PULSE_S: Final = 4.0
"""Longest silence: a browser is not told of the pings of the protocol, nor of a lost network."""
MOST_WATCHERS: Final = 500


class LiveSocket(WebSocketMixin, WebSocketHandler, Guarded):
    """One page that watches."""

    @property
    def ping_interval(self) -> float:
        """In seconds: Tornado asks by itself whether the peer is still there."""
        return PING_S

    @property
    def ping_timeout(self) -> float:
        """In seconds: a peer that does not answer in time has gone."""
        return PING_S

    _watcher: Watcher | None = None
    _sending: "asyncio.Task[None] | None" = None

    def set_default_headers(self) -> None:
        """None: they make no sense here."""

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Become a WebSocket, for whom the server lets in."""
        is_allowed = await ensure_async(
            self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE)
        )
        if not is_allowed:
            raise web.HTTPError(403)
        if self.dashboard.feed.count >= MOST_WATCHERS:
            raise web.HTTPError(503)
        await super().get(*args, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Begin to tell."""
        # Not that of the mixin: it would ask a second time, and takes these times for milliseconds.
        self._watcher = Watcher()
        self.dashboard.feed.join(self._watcher)
        self._sending = asyncio.create_task(self._send(self._watcher))

    def on_message(self, message: str | bytes) -> None:
        """Nothing is asked here."""

    def on_close(self) -> None:
        """Stop."""
        if self._watcher is not None:
            self.dashboard.feed.leave(self._watcher)
        if self._sending is not None:
            self._sending.cancel()
        super().on_close()

    async def _send(self, watcher: Watcher) -> None:
        try:
            # Not before: a page that says it is live has to be. Ends with the connection.
            await watcher.is_ready.wait()
            await self.write_message("{}")
            while True:
                told = orjson.dumps(await _message(watcher), default=str)
                await asyncio.wait_for(self.write_message(told.decode()), SENT_S)
                await asyncio.sleep(SPACING_S)
        except (WebSocketClosedError, StreamClosedError):
            pass
        except TimeoutError:
            self.close(1013, "too slow")
            # It would wait for an answer of a peer that reads nothing.
            stream = getattr(self.ws_connection, "stream", None)
            if stream is not None:
                stream.close()
        finally:
            self.dashboard.feed.leave(watcher)


async def _message(watcher: Watcher) -> dict[str, object]:
    try:
        return await asyncio.wait_for(watcher.message(), PULSE_S)
    except TimeoutError:
        return {}
