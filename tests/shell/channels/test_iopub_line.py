"""What the channel of a worker says on its line, and what it leaves in memory for its session."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flow_kernel.workers.deposit import LEAST_BYTES, NBYTES, Deposit
from flow_kernel.workers.line import CAN_BE, line_pair
from flow_kernel.workers.line_words import Hearer, Speaker
from tests.promises import promise
from tests.publishers import CANNOT_LEAVE, Publisher, publisher

pytestmark = pytest.mark.skipif(not CAN_BE, reason="no such sockets")
_LARGE = [b"topic", b"<IDS|MSG>", b"signature", b"{}", b"{}", b"{}"]


@contextmanager
def _worker(channel: Publisher) -> Iterator[tuple[Hearer, list[list[bytes]]]]:
    """Has the channel speak on a line and leave content in memory; what its session hears."""
    line, fd = line_pair(b"w1")
    memory = os.memfd_create("test")
    os.ftruncate(memory, NBYTES)
    theirs, ours = Deposit(memory, 0), Deposit(memory, 0)
    os.close(memory)
    heard: list[list[bytes]] = []
    with socket.socket(fileno=fd) as sock:
        channel.thread.deposit, channel.thread.speaker = theirs, Speaker(sock)
        channel.thread.speaker.is_heard = True
        yield Hearer(line, lambda frames: heard.append([*map(bytes, ours.whole(frames))])), heard
        channel.thread.deposit = channel.thread.speaker = None
    line.close()
    theirs.close()
    ours.close()


@promise("isolated.survives")
def test_after_a_message_that_could_not_leave_the_next_ones_are_heard_at_once() -> None:
    content = b"x" * (8 * LEAST_BYTES)
    with publisher() as channel, _worker(channel) as (hearer, heard):
        for _ in range(10):  # each would keep an eighth of the memory
            with pytest.raises((BufferError, ValueError)):
                channel.thread.send_multipart([CANNOT_LEAVE, *_LARGE[1:], content])
        channel.thread.send_multipart([b"small"])
        channel.thread.send_multipart([*_LARGE, 8 * content])
        hearer.on_line()
    assert heard == [[b"small"], [*_LARGE, 8 * content]]


@promise("isolated.survives")
def test_large_content_that_was_said_before_a_death_is_heard() -> None:
    with publisher() as channel, _worker(channel) as (hearer, heard):
        said = [[*_LARGE, b"%d" % number * LEAST_BYTES] for number in range(5)]
        for each in said:
            channel.thread.send_multipart(each)
        hearer.on_death()  # what ZeroMQ has dies with it
    assert heard == said
