"""The sockets of one worker, as its session holds them.

Made by `pool` in the thread that starts workers, then used by `relay` alone.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import zmq

from flow_kernel.errors import IsolationUnavailable
from flow_kernel.workers.manager import Order
from flow_kernel.workers.messages import Message, reader
from flow_kernel.workers.starter import Started

_EVERYTHING: Final = 0
_POLL_MS: Final = 100
_HEARTBEAT_MS: Final = 5_000
_SILENT_MS: Final = 15_000
"""A connection over a network that is silent for so long, or for as long as its worker goes on
alone, is no more; another one is tried, and what was said meanwhile is lost."""
_LONGEST_TTL_MS: Final = 6_553_500
"""The most that the protocol can say."""
_NAMES: Final = ("shell", "control", "stdin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Connected, and the worker's IOPub channel has answered: nothing that it says is missed."""

    shell: Any
    control: Any
    stdin: Any
    iopub: Any
    read: Callable[[Sequence[bytes]], Message | None]
    """A message from its frames, signed as the session signs."""
    open_heart: Callable[[], Any]
    """Connects to its heartbeat channel, which is not listened to from the start."""

    def close(self) -> None:
        """Drop what was not sent."""
        for socket in (self.shell, self.control, self.stdin, self.iopub):
            socket.close(linger=0)


def connect(context: Any, started: Started, order: Order) -> Channels:
    """Connect to a worker.

    Args:
        context: Of ZeroMQ.
        started: The worker.
        order: How it was started; the worker knows this client by its id.

    Raises:
        IsolationUnavailable: Its IOPub channel does not answer in time, or it has ended.
    """
    info = started.manager.get_connection_info()
    identity = order.worker_id.encode()
    silent_ms = max(_SILENT_MS, int(order.settings.lost_after_s * 1000))
    sockets = {name: _socket(context, zmq.DEALER, info, identity, silent_ms) for name in _NAMES}
    sockets["iopub"] = iopub = _socket(context, zmq.SUB, info, identity, silent_ms)
    iopub.subscribe(b"")
    for name, socket in sockets.items():
        socket.connect(_url(info, name))

    def open_heart() -> Any:
        heart = _socket(context, zmq.DEALER, info, identity, silent_ms)
        heart.connect(_url(info, "hb"))
        return heart

    channels = Channels(
        **sockets,
        read=reader(started.manager.session.key, order.key),
        open_heart=open_heart,
    )
    try:
        _wait_for_welcome(started, channels, order)
    except BaseException:
        channels.close()
        raise
    return channels


def _socket(context: Any, kind: int, info: Any, identity: bytes, silent_ms: int) -> Any:
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = _EVERYTHING  # a full queue would drop what a cell says
    if kind == zmq.DEALER:
        socket.identity = identity
    if info["transport"] == "tcp":
        socket.heartbeat_ivl = _HEARTBEAT_MS
        socket.heartbeat_timeout = silent_ms
        socket.heartbeat_ttl = min(silent_ms, _LONGEST_TTL_MS)
    if info.get("curve_publickey"):
        public, secret = zmq.curve_keypair()
        socket.curve_serverkey = _bytes(info["curve_publickey"])
        socket.curve_publickey, socket.curve_secretkey = public, secret
    return socket


def _url(info: Any, name: str) -> str:
    port = info[f"{name}_port"]
    joint = "-" if info["transport"] == "ipc" else ":"
    return f"{info['transport']}://{info['ip']}{joint}{port}"


def _bytes(key: str | bytes) -> bytes:
    return key if isinstance(key, bytes) else key.encode("ascii")


def _wait_for_welcome(started: Started, channels: Channels, order: Order) -> None:
    """Wait until the IOPub channel has said anything at all.

    A worker of ours greets its first subscriber. Others are asked for what they are until their
    answer is seen: what they say before the subscription has arrived is lost.

    One on another machine ends soon after nobody is connected to its control channel any more, but
    waits for the first one for long: that one has to be there before there is work.
    """
    timeout_s = order.settings.start_timeout_s
    until_s = time.monotonic() + timeout_s
    has_asked = False
    waited = (channels.iopub, channels.control) if started.kind == "remote" else (channels.iopub,)
    for socket in waited:
        while not socket.poll(_POLL_MS):
            order.mind()
            if started.process.poll() is not None:
                raise IsolationUnavailable("a worker ended while it started")
            if time.monotonic() > until_s:
                raise IsolationUnavailable(f"a worker does not answer in {timeout_s:g} s")
            started.manager.session.send(channels.control, "kernel_info_request", {})
            has_asked = True
        socket.recv_multipart()
    while has_asked and channels.control.poll(0):
        channels.control.recv_multipart()
