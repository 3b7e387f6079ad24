"""Notices that the connection to a worker on another machine broke.

Made by `worker`; everything here runs in the relay's thread. A socket of ZeroMQ connects again by
itself, and says nothing of what the other side has said meanwhile: that is dropped there, a reply
as well. Whoever waits for it would wait for ever; also who begins before it is connected again, for
its other sockets may be sooner.

Source: zmq_socket_monitor(3), the events DISCONNECTED and HANDSHAKE_SUCCEEDED.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

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
        self.is_cut: bool = False
        """True from then on until it is connected again."""
        relay.post(self._begin)

    def close(self) -> None:
        """Listen no more; before the socket is closed."""
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            self._relay.forget(monitor)
            with suppress(zmq.ZMQError):
                self._socket.disable_monitor()
            monitor.close(linger=0)

    def _begin(self) -> None:
        if not self._socket.closed:
            events = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._monitor = self._socket.get_monitor_socket(events)
            self._relay.listen(self._monitor, self._hear)

    def _hear(self, frames: Sequence[bytes]) -> None:
        self.is_cut = parse_monitor_message([*frames])["event"] == zmq.EVENT_DISCONNECTED
        if self.is_cut:
            self._on_tear()
