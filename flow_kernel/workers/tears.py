"""Notices that the connection to a worker on another machine broke.

Made by `worker`; everything here runs in the relay's thread. A socket of ZeroMQ connects again by
itself, and says nothing of what the other side has said meanwhile: that is dropped there, a reply
as well. Whoever waits for it would wait for ever.

Source: zmq_socket_monitor(3), the event DISCONNECTED.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq

from flow_kernel.workers.relay import Relay


class Tears:
    """Of one socket.

    Args:
        relay: Listens to it.
        socket: Connected.
        on_tear: Told each time.
    """

    def __init__(self, relay: Relay, socket: Any, on_tear: Callable[[], None]) -> None:
        self._relay = relay
        self._socket = socket
        self._on_tear = on_tear
        self._monitor: Any = None
        relay.post(self._begin)

    def close(self) -> None:
        """Listen no more; before the socket is closed."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            self._relay.forget(monitor)
            with suppress(zmq.ZMQError):
                self._socket.disable_monitor()

    def _begin(self) -> None:
        if not self._socket.closed:
            self._monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            self._relay.listen(self._monitor, lambda _frames: self._on_tear())
