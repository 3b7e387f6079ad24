"""What a zygote and its owner say to each other: whole, of any size, or not at all."""

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from flow_kernel.workers import wire

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks on Linux only")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * wire.MOST_BYTES)
    with one, other:
        yield one, other


@pytest.mark.parametrize("size", [0, 2 * wire.MOST_BYTES, 10_000_000])
def test_a_message_of_any_size_arrives_with_its_descriptors(
    pair: tuple[socket.socket, socket.socket], size: int
) -> None:
    message = {"op": "fork", "env": {"LARGE": "é" * size}}
    reads, writes = os.pipe()
    wire.send(pair[0], message, [writes])
    os.close(writes)
    received, fds = wire.receive(pair[1])
    os.write(fds[0], b"through")

    assert (received, len(fds)) == (message, 1)
    assert os.read(reads, 10) == b"through"
    for fd in (reads, *fds):
        os.close(fd)


@pytest.mark.parametrize("data", [b"{", b"\0", b"\xff", b"[]", b"{}"])
def test_what_is_no_message_is_refused_and_its_descriptors_are_closed(
    pair: tuple[socket.socket, socket.socket], data: bytes
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with open(os.devnull, "rb") as file:
        socket.send_fds(pair[0], [data], [file.fileno()])
    with pytest.raises(ValueError, match=r"."):
        wire.receive(pair[1])

    assert len(os.listdir("/proc/self/fd")) == before
    wire.send(pair[0], {"op": "ready"})
    assert wire.receive(pair[1]) == ({"op": "ready"}, [])
