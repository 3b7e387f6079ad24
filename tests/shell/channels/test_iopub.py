"""Messages are sent whole and in order by whoever has them."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import pytest

from flow_kernel.shell.channels.iopub import FlowIOPubThread
from tests.promises import promise
from tests.publishers import CANNOT_LEAVE, WAIT_S, Client, published_by, publisher

_STRUCK = """
raised = lost = number = 0

def strike(*_):
    frame = sys._getframe()
    while frame is not None and frame.f_code is not send.__code__:
        frame = frame.f_back
    if frame is not None:  # in the midst of it: what follows is ready for it
        global raised
        raised += 1
        raise error

def send():
    session.send(thread, "numbered", {"number": number}, ident=b"numbered")

def go_on(until):
    global lost, number
    print("ready", flush=True)
    while raised < until:
        before = raised
        try:
            send()
            number += 1
        except error:
            before = raised
        lost += raised - before
"""
_INTERRUPTED = (
    _STRUCK
    + """
error = KeyboardInterrupt
signal.signal(signal.SIGINT, strike)
go_on(until=2000)
signal.signal(signal.SIGINT, signal.SIG_IGN)
session.send(thread, "last", {})
end()
sys.exit(lost)
"""
)
_ALARMED = (
    _STRUCK
    + """
class error(Exception): pass
signal.signal(signal.SIGALRM, strike)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.00011)
go_on(until=2000)
signal.setitimer(signal.ITIMER_REAL, 0)
session.send(thread, "last", {})
end()
"""
)

_AT_THE_END_OF_THE_STACK = """
raised = 0
def strike(*_):
    global raised
    raised += 1
signal.signal(signal.SIGALRM, strike)
frames = session.serialize(session.msg("deep", {"text": "x"}))
frames[0:0] = [b"deep"]

def dive(left):
    if left:
        return dive(left - 1)
    try:
        thread.send_multipart(frames)
        return True
    except RecursionError:
        return False

at = 0
while dive(at + 1):  # until one function more would be one too many
    at += 1
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.00011)
while raised < 3000:
    for left in range(at - 2, at + 4):
        dive(left)
signal.setitimer(signal.ITIMER_REAL, 0)
last()
end()
"""
_CLOSED_MEANWHILE = """
is_over, errors = threading.Event(), []
def send():
    while not is_over.is_set():
        try:
            session.send(thread, "stream", {"name": "stdout", "text": "x" * 1000})
        except BaseException as error:
            errors.append(repr(error))
senders = [threading.Thread(target=send) for _ in range(3)]
for each in senders:
    each.start()
thread.stop()
thread.close()
is_over.set()
for each in senders:
    each.join()
context.destroy(0)
print(errors)
"""
_STOPPED_BEFORE = """
session.send(thread, "numbered", {"number": 0})
thread.stop()
session.send(thread, "numbered", {"number": 1})
session.send(thread, "last", {})
thread.close()
context.destroy(2000)
"""
_FORKED = """
import os
from flow_kernel.shell.channels.iopub import in_turn

is_over = threading.Event()
def send():
    while not is_over.is_set():
        session.send(thread, "noise", {"text": "x" * 100_000})
other = threading.Thread(target=send)
other.start()
for number in range(10):
    pid = os.fork()
    if pid == 0:
        session.pid = os.getpid()
        content = {"name": "stdout", "text": f"child {number}"}
        in_turn(thread, lambda: session.send(thread, "stream", content))
        os._exit(0)
    os.waitpid(pid, 0)
is_over.set()
other.join()
session.send(thread, "last", {})
end()
"""


def _numbers(client: Client, kind: str = "last") -> list[int]:
    return [content["number"] for kind, content in client.until(kind) if kind == "numbered"]


@promise("send.whole")
@pytest.mark.parametrize("each", [5_000, pytest.param(25_000, marks=pytest.mark.soak)])
def test_messages_of_four_threads_arrive_whole_and_in_order_while_clients_come_and_go(
    each: int,
) -> None:
    with publisher() as channel:
        client = channel.client()
        is_over = threading.Event()
        welcomed = []

        def come_and_go() -> None:
            while not is_over.is_set():
                one = channel.client(b"topic %d" % len(welcomed))  # waits for its welcome
                one.socket.close()
                welcomed.append(1)

        def send(name: int) -> None:
            for number in range(each):
                channel.send("numbered", thread=name, number=number)

        visitor = threading.Thread(target=come_and_go)
        threads = [threading.Thread(target=send, args=(name,)) for name in range(4)]
        for thread in (visitor, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        is_over.set()
        visitor.join()
        channel.send("last")

        found: dict[int, list[int]] = {name: [] for name in range(4)}
        for kind, content in client.until("last"):
            if kind == "numbered":
                found[content["thread"]].append(content["number"])

    assert all(numbers == list(range(each)) for numbers in found.values())
    assert len(welcomed) > 10


@promise("send.whole")
def test_each_of_2000_interrupts_reaches_the_code_and_no_message_is_torn(tmp_path: Path) -> None:
    with published_by(_INTERRUPTED, tmp_path) as (process, client):
        assert process.stdout is not None
        process.stdout.readline()
        is_over = threading.Event()

        def storm() -> None:
            while not is_over.wait(0.0002):
                process.send_signal(signal.SIGINT)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            numbers = _numbers(client)
        finally:
            is_over.set()
            thread.join()
        assert process.wait(WAIT_S) == 0

    # What was interrupted is sent again, and may have been sent before; nothing is left out.
    assert sorted(set(numbers)) == list(range(max(numbers) + 1))
    assert numbers == sorted(numbers)


@promise("send.whole")
def test_a_handler_that_raises_in_the_midst_of_a_message_tears_none(tmp_path: Path) -> None:
    with published_by(_ALARMED, tmp_path) as (process, client):
        numbers = _numbers(client)
        assert process.wait(WAIT_S) == 0

    assert sorted(set(numbers)) == list(range(max(numbers) + 1))
    assert numbers == sorted(numbers)


@promise("send.whole")
def test_what_is_sent_while_the_channel_closes_raises_nothing(tmp_path: Path) -> None:
    with published_by(_CLOSED_MEANWHILE, tmp_path) as (process, _):
        assert process.wait(WAIT_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == "[]\n"


@promise("send.whole")
def test_what_is_sent_after_the_thread_has_stopped_arrives(tmp_path: Path) -> None:
    with published_by(_STOPPED_BEFORE, tmp_path) as (process, client):
        assert _numbers(client) == [0, 1]
        assert process.wait(WAIT_S) == 0


@promise("send.whole")
def test_who_sends_and_waits_for_one_who_wants_to_send_costs_time_and_no_message() -> None:
    theirs, is_in, welcomed = threading.Lock(), threading.Event(), threading.Event()

    def trace(frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is FlowIOPubThread._send_one.__code__ and event == "call":
            sys.settrace(None)
            is_in.set()
            with theirs:  # as a finalizer that logs does: another one writes to that log
                channel.send("numbered", number=1)

    def send_traced() -> None:
        sys.settrace(trace)
        channel.send("numbered", number=2)

    with publisher() as channel:
        channel.thread.patience_s = 0.05
        client = channel.client()
        # The thread that welcomes a client sends what waits meanwhile: here it would be ours.
        channel.thread.schedule(welcomed.set)
        assert welcomed.wait(WAIT_S)
        with theirs:
            thread = threading.Thread(target=send_traced)
            thread.start()
            assert is_in.wait(WAIT_S)
            channel.send("numbered", number=3)
        thread.join()
        channel.send("last")

        assert sorted(_numbers(client)) == [1, 2, 3]


@promise("send.whole")
def test_a_fork_while_another_thread_sends_can_send(tmp_path: Path) -> None:
    with published_by(_FORKED, tmp_path) as (process, client):
        found = [content["text"] for kind, content in client.until("last") if kind == "stream"]
        assert process.wait(WAIT_S) == 0

    assert sorted(found) == [f"child {number}" for number in range(10)]


@promise("send.whole")
def test_frames_that_cannot_be_sent_spoil_no_other_message() -> None:
    with publisher() as channel:
        client = channel.client()
        with pytest.raises(TypeError):
            channel.thread.send_multipart([b"one", "a text"])
        channel.send("numbered", number=1)
        channel.send("last")

        assert _numbers(client) == [1]


@promise("send.whole")
def test_a_signal_where_the_stack_ends_tears_no_message(tmp_path: Path) -> None:
    with published_by(_AT_THE_END_OF_THE_STACK, tmp_path) as (process, client):
        kinds = {kind for kind, _ in client.until("last")}
        assert process.wait(WAIT_S) == 0

    assert kinds == {"deep"}


@promise("send.whole")
def test_frames_that_cannot_be_sent_are_the_failure_of_who_sent_them() -> None:
    failed = []

    def send_bad() -> None:
        try:
            channel.thread.send_multipart([b"one", "a text"])
        except TypeError:
            failed.append("of the one")

    with publisher() as channel:
        channel.thread.patience_s = 0.05
        client = channel.client()
        with channel.thread.order:  # the one does not come to it in its time
            thread = threading.Thread(target=send_bad)
            thread.start()
            thread.join()
            channel.send("numbered", number=1)
        channel.send("last")

        assert _numbers(client) == [1]
    assert failed == ["of the one"]


@promise("send.whole")
def test_a_message_that_cannot_leave_is_logged_and_no_failure_of_who_sends_it_for_another(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with publisher() as channel:
        channel.thread.patience_s = 0.05
        client = channel.client()
        with channel.thread.order:  # the one does not come to it in its time
            one = threading.Thread(target=lambda: channel.thread.send_multipart([CANNOT_LEAVE]))
            one.start()
            one.join()
            channel.send("numbered", number=1)
        channel.send("last")

        assert _numbers(client) == [1]
    assert [each.message for each in caplog.records] == ["flow: a message was not sent"]


@promise("send.whole")
def test_what_is_sent_in_the_midst_of_a_welcome_does_not_wait_for_the_next_message() -> None:
    with publisher() as channel:
        welcome = channel.thread._send_welcome_message

        def and_a_finalizer(topic: str) -> None:
            channel.send("numbered", number=1)
            welcome(topic)

        channel.thread._send_welcome_message = and_a_finalizer
        client = channel.client()

        assert client.receive() == ("numbered", {"number": 1})
