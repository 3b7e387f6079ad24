"""What a zygote and its owner say to each other (both sides).

Called by `zygote` and by `zygote_client`.

    owner ──▶ {"op": "fork", "id": …, "argv": …, "env": …, "cwd": …, "path": …} + descriptors
    owner ──▶ {"op": "preload", "modules": […]}
    owner ──▶ {"op": "kill", "id": …, "pid": …, "signal": …}    only its child that is not reaped
    zygote ─▶ {"op": "ready", "modules": …, "threads": …}
    zygote ─▶ {"op": "forked", "id": …, "pid": …} | {"op": "refused", "id": …, "reason": …}
    zygote ─▶ {"op": "killed", "id": …}                         the signal is on its way
    zygote ─▶ {"op": "exited", "pid": …, "status": …, "peak_rss_bytes": …}

One message is one packet of a `SOCK_SEQPACKET` pair: no framing, and a message is whole or absent.
"""

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

MOST_BYTES: Final = 180_000
"""A packet has to fit into the buffer of the socket; larger ones are refused by the system."""
_MOST_FDS: Final = 8


def send(sock: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message with copies of `fds`.

    Raises:
        OSError: The other side is gone, or the message does not fit.
    """
    data = json.dumps(message).encode("utf-8", "surrogatepass")
    if fds:
        socket.send_fds(sock, [data], list(fds))
    else:
        sock.send(data)


def receive(sock: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and its descriptors; None when the other side is gone.

    Raises:
        BlockingIOError: There is none, on a socket that does not wait.
    """
    try:
        data, fds, _, _ = socket.recv_fds(sock, MOST_BYTES, _MOST_FDS)
    except ConnectionError:
        return None, []
    if not data:
        return None, list(fds)
    return json.loads(data.decode("utf-8", "surrogatepass")), list(fds)
