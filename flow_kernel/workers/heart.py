"""Whether a worker still answers at all: asked on its heartbeat channel, now and then.

Made by `worker`; asked by `session.isolation.watchdog` while a cell runs. A thread of native code
echoes there what it gets, also while the GIL is held: who is silent does not run, or is not reached
any more. The first question opens the socket: most cells end before it.

Source: Messaging in Jupyter, heartbeat for kernels.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import zmq

from flow_kernel.workers.relay import Relay

EVERY_S: Final = 5.0
"""Between two questions."""
_QUESTION: Final = b"flow"


class NoHeart:
    """Of a worker that is seen from near, and that nobody has to ask."""

    beats: int | None = None

    def ask(self) -> None:
        """It has nobody to ask."""


class Heart:
    """That of one worker.

    Args:
        relay: Listens to it.
        open_socket: Connects to its heartbeat channel; called in the relay's thread.
        on_beat: Told of each answer; likewise.
    """

    def __init__(
        self, relay: Relay, open_socket: Callable[[], Any], on_beat: Callable[[], None]
    ) -> None:
        self._relay = relay
        self._open_socket = open_socket
        self._on_beat = on_beat
        self._socket: Any = None
        self._is_closed = False
        self._asked_s: float | None = None
        self.beats: int = 0
        """How often it has answered."""

    def ask(self) -> None:
        """Ask it, if it was not asked just now; callable in any thread."""
        now_s = time.monotonic()
        if self._asked_s is None or now_s - self._asked_s >= EVERY_S:
            self._asked_s = now_s
            self._relay.post(self._ask)

    def close(self) -> None:
        """Ask no more; in the relay's thread."""
        self._is_closed = True
        socket, self._socket = self._socket, None
        if socket is not None:
            self._relay.forget(socket)
            socket.close(linger=0)

    # -- in the relay's thread ---------------------------------------------------------------------

    def _ask(self) -> None:
        if self._is_closed:
            return
        if self._socket is None:
            self._socket = self._open_socket()
            self._relay.listen(self._socket, self._beat)
        with suppress(zmq.Again):
            # An empty frame in front, as who asks and waits sends one: the echo has it as well.
            self._socket.send_multipart([b"", _QUESTION], zmq.NOBLOCK)

    def _beat(self, _frames: Sequence[bytes]) -> None:
        self.beats += 1
        self._on_beat()
