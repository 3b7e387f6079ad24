"""Two event loops tell each other messages: in order, and none is lost on the way."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
import zmq
from ipykernel.thread import BaseThread
from tornado.ioloop import IOLoop

from flow_kernel.shell.channels.shell_channel import LoopPair
from tests.promises import promise
from tests.strikes import Struck, strikes

_WAIT_S: Final = 10.0


class Reader:
    """A thread with a loop, and the first parts of the messages that it was told."""

    def __init__(self) -> None:
        self.thread: Any = BaseThread(name="reader", daemon=True)
        self.found: list[bytes] = []
        self._changed = threading.Condition()

    @property
    def loop(self) -> IOLoop:
        """Its loop."""
        loop: IOLoop = self.thread.io_loop
        return loop

    async def take(self, message: Any) -> None:
        """Be told of one; as ipykernel's, this ends later."""
        with self._changed:
            self.found.append(bytes(message[0]))
            self._changed.notify_all()

    def wait(self, number: int) -> list[bytes]:
        """What it was told once it were so many."""
        return self.wait_for(lambda: len(self.found) >= number)

    def wait_for(self, happened: Callable[[], bool]) -> list[bytes]:
        """What it was told once `happened()`; asked when there is something."""
        with self._changed:
            assert self._changed.wait_for(lambda: bool(self.found) and happened(), _WAIT_S)
            return list(self.found)

    def call(self, function: Callable[[], Any]) -> Any:
        """What `function` returns, called in its loop."""
        done: list[Any] = []
        is_done = threading.Event()

        def call() -> None:
            done.append(function())
            is_done.set()

        self.loop.add_callback(call)
        assert is_done.wait(_WAIT_S)
        return done[0]


@pytest.fixture
def context() -> Iterator["zmq.Context[Any]"]:
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(0)


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    made.thread.start()
    yield made
    made.thread.stop()
    made.thread.join()


@contextmanager
def held(reader: Reader, then: Callable[[], Any] = bool) -> Iterator[None]:
    """Its loop is kept busy meanwhile, as by a cell, which ends with `then`."""
    is_in, may_go = threading.Event(), threading.Event()

    def wait() -> None:
        is_in.set()
        may_go.wait(_WAIT_S)
        then()

    reader.loop.add_callback(wait)
    assert is_in.wait(_WAIT_S)
    yield
    may_go.set()


def _numbers(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


def test_messages_arrive_in_the_order_in_which_each_thread_sent_them(
    reader: Reader, context: "zmq.Context[Any]"
) -> None:
    pair = LoopPair(context, "order")
    pair.on_recv(reader.loop, reader.take)

    def send(first: int) -> None:
        for each in _numbers(first, first + 2000):
            pair.from_socket.send_multipart([each, b"rest"], copy=False)

    threads = [threading.Thread(target=send, args=(2000 * n,)) for n in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    found = reader.wait(8000)
    for first in range(0, 8000, 2000):
        theirs = set(_numbers(first, first + 2000))
        assert [each for each in found if each in theirs] == _numbers(first, first + 2000)


def test_what_was_sent_before_somebody_reads_is_read(
    reader: Reader, context: "zmq.Context[Any]"
) -> None:
    pair = LoopPair(context, "early")
    pair.send(b"0")
    pair.on_recv(reader.loop, reader.take)
    pair.send(b"1")

    assert reader.wait(2) == [b"0", b"1"]


def test_one_of_one_part_is_a_frame_and_copies_are_bytes(
    reader: Reader, context: "zmq.Context[Any]"
) -> None:
    kinds: list[type] = []

    async def take(message: Any) -> None:
        kinds.append(type(message[0]))
        await reader.take(message)

    for copy in (False, True):
        pair = LoopPair(context, f"copy {copy}")
        pair.on_recv(reader.loop, take, copy=copy)
        pair.send(b"stop aborting", copy=False)
    reader.wait(2)

    assert kinds == [zmq.Frame, bytes]


# What is raised in a finalizer, which may run at any step as well, Python shows and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@promise("send.whole")
def test_a_handler_that_raises_in_the_midst_makes_no_later_message_wait(
    reader: Reader, context: "zmq.Context[Any]"
) -> None:
    pair = LoopPair(context, "struck")
    pair.on_recv(reader.loop, reader.take)
    sent = struck = 0

    def send() -> None:
        pair.send(b"%d" % sent)

    with strikes(send):
        while struck < 300:
            try:
                send()
                sent += 1
            except Struck:
                struck += 1
    pair.send(b"last")

    *found, _ = reader.wait_for(lambda: reader.found[-1] == b"last")
    # The one that the last strike hit may have been sent.
    assert sorted(set(map(int, found)) - {sent}) == list(range(sent))


def test_a_failing_handler_costs_no_other_message(
    reader: Reader, context: "zmq.Context[Any]", caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(message: Any) -> None:
        await reader.take(message)
        raise ValueError

    pair = LoopPair(context, "failing")
    pair.on_recv(reader.loop, fail)
    for each in _numbers(0, 3):
        pair.send(each)

    assert reader.wait(3) == _numbers(0, 3)
    reader.call(lambda: None)
    reader.call(lambda: None)
    assert [each.message for each in caplog.records] == ["a request was not handled to its end"] * 3


def test_once_it_is_closed_nothing_is_told_and_nothing_raises(
    reader: Reader, context: "zmq.Context[Any]"
) -> None:
    pair = LoopPair(context, "closed")
    pair.on_recv(reader.loop, reader.take)
    with held(reader):
        pair.send(b"waits")
        pair.close()
    pair.send(b"late")
    pair.close()

    reader.call(lambda: None)
    assert reader.found == []


def test_a_message_to_a_loop_that_has_ended_raises_nothing(context: "zmq.Context[Any]") -> None:
    loop = asyncio.new_event_loop()
    pair = LoopPair(context, "ended")
    pair.on_recv(_Ended(loop), lambda _: None)  # type: ignore[arg-type]  # it has what is used
    loop.close()

    pair.send(b"to nobody")


@promise("send.whole")
def test_a_gui_that_asks_for_the_stream_gets_all_that_waits_and_all_that_comes(
    reader: Reader, context: "zmq.Context[Any]"
) -> None:
    pair = LoopPair(context, "gui")
    pair.on_recv(reader.loop, reader.take)
    streams: list[Any] = []
    with held(reader, then=lambda: streams.append(pair.to_stream)):
        # More than sockets hold by default: the one who fills them is the one who reads.
        for each in _numbers(0, 5000):
            pair.send(each)
    for each in _numbers(5000, 6000):
        pair.send(each)

    assert reader.wait(6000) == _numbers(0, 6000)
    assert reader.call(lambda: streams[0] is pair.to_stream)
    reader.call(pair.close)


class _Ended:
    """What stands around a loop in tornado."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asyncio_loop = loop
