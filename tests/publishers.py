"""An IOPub channel without a kernel around it, and clients that look at each message.

Called by the tests in `tests/shell` for what sends: the thread, the sockets and the signatures are
real ones.
"""

import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zmq
from jupyter_client.session import DELIM, Session

from flow_kernel.shell.channels.iopub import FlowIOPubThread
from flow_kernel.shell.streams.outstream import FlowOutStream

KEY: Final = b"a key of the tests"
WAIT_S: Final = 30.0
"""For one message; reached only when something is broken."""
CANNOT_LEAVE: Final = memoryview(b"in pieces")[::2]
"""A frame that looks like one until ZeroMQ wants its bytes."""

BEGIN: Final = """
import signal, sys, threading, time, zmq
from jupyter_client.session import Session
from flow_kernel.shell.channels.iopub import FlowIOPubThread
from flow_kernel.shell.streams.outstream import FlowOutStream

context = zmq.Context()
context.setsockopt(zmq.SNDHWM, 0)
socket = context.socket(zmq.XPUB)
socket.bind(sys.argv[1])
session = Session(key=b"a key of the tests")
thread = FlowIOPubThread(socket, pipe=True, session=session)
thread.start()
out = FlowOutStream(session, thread, "stdout", watchfd=False)
err = FlowOutStream(session, thread, "stderr", watchfd=False)
sys.stdin.readline()

def last():
    session.send(thread, "last", {})

def end():
    thread.stop()
    thread.close()
    context.destroy(2000)
"""
"""What a script begins with: a `thread` that has a client once a line came on its stdin."""


@dataclass(frozen=True, slots=True)
class Client:
    """One that has subscribed to everything."""

    socket: "zmq.Socket[bytes]"

    def receive(self) -> tuple[str, dict[str, Any]]:
        """Kind and content of the next message, whose shape and signature are looked at.

        jupyter_client's own way to read one takes five times as long.

        Raises:
            TimeoutError: None came.
        """
        if not self.socket.poll(WAIT_S * 1000):
            raise TimeoutError("no message")
        frames = self.socket.recv_multipart()
        assert DELIM in frames[:2], frames
        signature, *parts = frames[frames.index(DELIM) + 1 :]
        assert len(parts) == 4, frames
        assert signature == hmac.new(KEY, b"".join(parts), "sha256").hexdigest().encode()
        header, _, _, content = map(json.loads, parts)
        return header["msg_type"], content

    def until(self, kind: str, *, keeps_last: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """All messages up to the first one of `kind`, which is among them if that is wanted."""
        found = []
        while (message := self.receive())[0] != kind:
            found.append(message)
        return [*found, message] if keeps_last else found

    def text_until(self, kind: str) -> str:
        """What streams say up to the first message of `kind`."""
        return "".join(each["text"] for name, each in self.until(kind) if name == "stream")


@dataclass(frozen=True, slots=True)
class Publisher:
    """A thread of the IOPub channel and what it sends with."""

    thread: FlowIOPubThread
    session: Session
    context: "zmq.Context[Any]"
    address: str

    def client(self, topic: bytes = b"") -> Client:
        """A new one, which has been welcomed; only the first one of a topic is, by ZeroMQ."""
        return _client(self.context, self.address, topic)

    def stream(self, name: str = "stdout") -> FlowOutStream:
        """One that leads to it, without a look at descriptors."""
        return FlowOutStream(self.session, self.thread, name, watchfd=False)

    def send(self, kind: str, **content: Any) -> None:
        """Send one message, as ipykernel does."""
        self.session.send(self.thread, kind, content, ident=kind.encode())


@contextmanager
def publisher() -> Iterator[Publisher]:
    """One in this process."""
    context: zmq.Context[Any] = zmq.Context()
    context.setsockopt(zmq.SNDHWM, 0)
    context.setsockopt(zmq.RCVHWM, 0)
    socket = context.socket(zmq.XPUB)
    address = f"inproc://iopub-{id(socket)}"
    socket.bind(address)
    session = Session(key=KEY, copy_threshold=1 << 40)
    thread = FlowIOPubThread(socket, pipe=True, session=session)
    thread.start()
    try:
        yield Publisher(thread, session, context, address)
    finally:
        thread.stop()
        thread.close()
        context.destroy(0)


@contextmanager
def published_by(script: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """The process of a script that begins with `BEGIN`, and the client that it waits for."""
    address = f"ipc://{folder / 'iopub'}"
    context: zmq.Context[Any] = zmq.Context()
    context.setsockopt(zmq.RCVHWM, 0)
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + script, address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        client = _client(context, address)
        assert process.stdin is not None
        process.stdin.write("begin\n")
        process.stdin.flush()
        yield process, client
    finally:
        process.kill()
        process.communicate()
        context.destroy(0)


def _client(context: "zmq.Context[Any]", address: str, topic: bytes = b"") -> Client:
    socket = context.socket(zmq.SUB)
    client = Client(socket)
    socket.connect(address)
    socket.subscribe(topic)
    client.until("iopub_welcome")
    return client
