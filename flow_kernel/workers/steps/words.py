"""What the process that forks steps and its owner say to each other (both sides).

Called by `host_process`, `spares` and `host_link`; see `host_process` for the words.

One message is one packet of a `SOCK_SEQPACKET` pair, as in `workers.wire`. It is in the format of
`marshal`, for both sides are the same program, and that costs a starting host no module. One that
does not fit, as with a long script, lies in memory whose descriptor is the last.

It has no `typing` and no `socket`: a host imports it before its first step, which waits for that.
"""

import _socket
import marshal
import os
import sys

from flow_kernel.workers.letters import stored, taken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

PACKET_BYTES = 60_000
"""What is longer goes into memory; a buffer for longer ones would cost each message its pages."""
_IN_MEMORY = b"\0"
_MOST_FDS = 8
_FD_BYTES = 4
_ANCILLARY_BYTES = _socket.CMSG_SPACE(_MOST_FDS * _FD_BYTES)


def send(sock: "_socket.socket", message: "Mapping[str, Any]", fds: "Sequence[int]" = ()) -> None:
    """Send one message with copies of `fds`.

    Raises:
        OSError: The other side is gone.
    """
    data = _written(message)
    if len(data) <= PACKET_BYTES:
        _send(sock, data, fds)
        return
    memory = stored(data)
    try:
        _send(sock, _IN_MEMORY, [*fds, memory])
    finally:
        os.close(memory)


def receive(sock: "_socket.socket") -> "tuple[dict[str, Any] | None, list[int]]":
    """The next message and its descriptors; None when the other side is gone.

    Raises:
        BlockingIOError: There is none, on a socket that does not wait.
        ValueError: It is no message; its descriptors are closed.
    """
    try:
        data, ancillary, _, _ = sock.recvmsg(
            PACKET_BYTES, _ANCILLARY_BYTES, _socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionError:
        return None, []
    fds = _fds_of(ancillary)
    if not data:
        return None, fds
    try:
        if data == _IN_MEMORY and fds:
            data = taken(fds.pop())
        message = marshal.loads(data)  # noqa: S302 - of our own process
        if not isinstance(message, dict) or "op" not in message:
            raise ValueError("no message of a host or its owner")  # noqa: TRY301 - see below
    except (ValueError, EOFError, TypeError, OSError) as error:
        for fd in fds:
            os.close(fd)
        raise ValueError(str(error)) from None
    return message, fds


def _written(message: "Mapping[str, Any]") -> bytes:
    try:
        return marshal.dumps({**message})
    except ValueError:  # a text of a class of its own, as a member of an enum
        return marshal.dumps(_plain(message))


def _plain(value: "Any") -> "Any":
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "items"):
        return {_plain(name): _plain(each) for name, each in value.items()}
    return value


def _send(sock: "_socket.socket", data: bytes, fds: "Sequence[int]") -> None:
    if fds:
        rights = b"".join(fd.to_bytes(_FD_BYTES, sys.byteorder) for fd in fds)
        sock.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    else:
        sock.send(data)


def _fds_of(ancillary: "list[tuple[int, int, bytes]]") -> list[int]:
    return [
        int.from_bytes(data[at : at + _FD_BYTES], sys.byteorder)
        for level, kind, data in ancillary
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS
        for at in range(0, len(data) - _FD_BYTES + 1, _FD_BYTES)
    ]
