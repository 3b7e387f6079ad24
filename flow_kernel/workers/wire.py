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
One that does not fit, as with a large environment, lies in memory whose descriptor is the last.
"""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flow_kernel.workers.letters import stored, taken

MOST_BYTES: Final = 180_000
"""A packet has to fit into the buffer of the socket; the system refuses or cuts larger ones."""
_IN_MEMORY: Final = b"\0"
_MOST_FDS: Final = 8


def send(sock: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message with copies of `fds`.

    Raises:
        OSError: The other side is gone, or the message does not fit.
    """
    data = json.dumps(message).encode("utf-8", "surrogatepass")
    if len(data) > MOST_BYTES:
        memory = stored(data)
        try:
            socket.send_fds(sock, [_IN_MEMORY], [*fds, memory])
        finally:
            os.close(memory)
    elif fds:
        socket.send_fds(sock, [data], list(fds))
    else:
        sock.send(data)


def receive(sock: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next message and its descriptors; None when the other side is gone.

    Raises:
        BlockingIOError: There is none, on a socket that does not wait.
        ValueError: It is no message; its descriptors are closed.
    """
    try:
        data, fds, _, _ = socket.recv_fds(sock, MOST_BYTES, _MOST_FDS)
    except ConnectionError:
        return None, []
    if not data:
        return None, list(fds)
    try:
        if data == _IN_MEMORY and fds:
            data = taken(fds.pop())
        message = json.loads(data.decode("utf-8", "surrogatepass"))
        if not isinstance(message, dict) or "op" not in message:
            raise ValueError("no message of the zygote or its owner")  # noqa: TRY301 - see below
    except (ValueError, OSError) as error:
        for fd in fds:
            os.close(fd)
        raise ValueError(str(error)) from None
    return message, list(fds)
