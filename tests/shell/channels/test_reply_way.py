"""Replies leave whole and in order, also when the reading thread keeps the socket for long."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream

from flow_kernel.shell.channels.iopub import check_message, send_frames
from flow_kernel.shell.channels.reply_way import ReplyWay, share
from tests.promises import promise
from tests.publishers import CANNOT_LEAVE, WAIT_S


@contextmanager
def _way() -> Iterator[tuple[ReplyWay, Any, "zmq.Socket[bytes]"]]:
    """The way, its stream in the loop of another thread, and the client's end."""
    context: zmq.Context[Any] = zmq.Context()
    address = f"inproc://reply-{id(context)}"
    ours, theirs = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    ours.bind(address)
    theirs.connect(address)
    theirs.rcvtimeo = int(WAIT_S * 1000)
    made: list[Any] = []
    is_running = threading.Event()

    async def run() -> None:
        stream = share(ZMQStream(ours, IOLoop.current()))
        over = asyncio.Event()
        made.extend((stream, asyncio.get_running_loop(), over))
        is_running.set()
        await over.wait()
        stream.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert is_running.wait(WAIT_S)
    stream, loop, over = made
    try:
        yield ReplyWay(stream, send_frames, check=check_message), stream, theirs
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        context.destroy(0)


@promise("send.whole")
def test_replies_leave_in_order_when_the_one_who_reads_lets_go_of_the_socket() -> None:
    with _way() as (way, stream, client):
        way.patience_s = 0.05
        is_held, lets_go = threading.Event(), threading.Event()

        def hold() -> None:
            with stream.order:
                is_held.set()
                lets_go.wait(WAIT_S)

        holder = threading.Thread(target=hold)
        holder.start()
        assert is_held.wait(WAIT_S)
        way.send_multipart([b"1", b"one"])
        way.send_multipart([b"2", b"two"])
        assert holder.is_alive()  # nobody has waited for it
        lets_go.set()
        holder.join()
        way.send_multipart([b"3", b"three"])

        got = [client.recv_multipart() for _ in range(3)]
    assert got == [[b"1", b"one"], [b"2", b"two"], [b"3", b"three"]]


@promise("send.whole")
def test_a_reply_that_cannot_be_sent_spoils_no_other_one() -> None:
    with _way() as (way, _, client):
        with pytest.raises(TypeError):
            way.send_multipart([b"1", "a text"])
        with pytest.raises((BufferError, ValueError)):
            way.send_multipart([CANNOT_LEAVE])
        way.send_multipart([b"2", b"two"])

        assert client.recv_multipart() == [b"2", b"two"]


@promise("send.whole")
def test_a_reply_that_cannot_be_sent_is_no_failure_of_who_sends_it_for_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with _way() as (way, stream, client):
        way.patience_s = 0.05
        is_held, lets_go = threading.Event(), threading.Event()

        def hold() -> None:
            with stream.order:
                is_held.set()
                lets_go.wait(WAIT_S)

        holder = threading.Thread(target=hold)
        holder.start()
        assert is_held.wait(WAIT_S)
        way.send_multipart([CANNOT_LEAVE])  # whoever has the next turn sends it
        way.send_multipart([b"1", b"one"])
        lets_go.set()
        holder.join()
        way.send_multipart([b"2", b"two"])

        got = [client.recv_multipart() for _ in range(2)]
    assert got == [[b"1", b"one"], [b"2", b"two"]]
    assert [each.message for each in caplog.records] == ["flow: a reply was not sent"]
