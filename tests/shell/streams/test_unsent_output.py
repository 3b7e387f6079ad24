"""What was written is sent once, in order and soon, whatever comes between."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from flow_kernel.shell.channels.iopub import FlowIOPubThread
from flow_kernel.shell.streams.unsent_output import MOST_CHARS, MOST_SWITCHES, Unsent
from tests.promises import promise
from tests.publishers import WAIT_S, published_by, publisher

_STRUCK = """
raised = number = 0
class Struck(BaseException): pass

def strike(*_):
    frame = sys._getframe()
    while frame is not None and frame.f_code is not flush.__code__:
        frame = frame.f_back
    if frame is not None:
        global raised
        raised += 1
        raise Struck

def flush():
    err.flush()

for each in (signal.SIGALRM, signal.SIGINT):
    signal.signal(each, strike)
def ring():
    while raised < 2000:
        time.sleep(0.0002)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
ringer = threading.Thread(target=ring)
ringer.start()
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
while raised < 2000:
    out.write(f"{number}\\n")
    err.write(f"{number + 1}\\n")
    number += 2
    try:
        flush()
    except Struck:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
ringer.join()
out.flush()
session.send(thread, "last", {"number": number})
end()
"""
_HANDLERS_THAT_PRINT = """
said = depth = 0
def say(*_):
    global said, depth
    if depth < 3:  # an alarm that comes while it is heard, and so on, would end the recursion
        depth += 1
        said += 1
        out.write("<>")
        err.flush()
        session.send(thread, "stream", {"name": "stdout", "text": "."})
        depth -= 1

signal.signal(signal.SIGALRM, say)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.00015)
until = time.monotonic() + 1
number = 0
while time.monotonic() < until or said <= 5:
    for _ in range(100):
        out.write("x")
        err.write("y")
        number += 1
signal.setitimer(signal.ITIMER_REAL, 0)
out.flush()
session.send(thread, "last", {"texts": [said, number]})
end()
"""
_FORKED = """
import os
out.write("before the fork\\n")
for number in range(3):
    pid = os.fork()
    if pid == 0:
        out.write(f"child {number}\\n")
        os._exit(0)
    os.waitpid(pid, 0)
out.write("after the forks\\n")
out.flush()
last()
end()
"""
_FORKED_BESIDE_WRITERS = """
import os
is_over = threading.Event()
def write(stream):
    while not is_over.is_set():
        stream.write("noise ")
        stream.flush()
writers = [threading.Thread(target=write, args=(each,)) for each in (out, err)]
for each in writers:
    each.start()
for number in range(20):
    pid = os.fork()
    if pid == 0:
        out.write(f"child {number}\\n")
        os._exit(0)
    os.waitpid(pid, 0)
is_over.set()
for each in writers:
    each.join()
last()
end()
"""
_MUCH = """
most = 0
for _ in range(300):
    out.write("x" * 10_000)
    most = max(most, out.unsent.chars)
out.flush()
session.send(thread, "last", {"number": most})
end()
"""


@promise("send.whole")
def test_what_was_written_is_sent_once_whatever_handlers_raise_in_a_flush(tmp_path: Path) -> None:
    with published_by(_STRUCK, tmp_path) as (process, client):
        text = client.text_until("last")
        assert process.wait(WAIT_S) == 0

    numbers = [int(line) for line in text.splitlines()]
    assert numbers == list(range(len(numbers)))


@promise("send.whole")
def test_a_handler_that_prints_and_sends_in_the_midst_of_writes_hangs_nothing(
    tmp_path: Path,
) -> None:
    with published_by(_HANDLERS_THAT_PRINT, tmp_path) as (process, client):
        found = client.until("last", keeps_last=True)
        assert process.wait(WAIT_S) == 0

    said, number = found.pop()[1]["texts"]
    text = "".join(content["text"] for _, content in found)
    assert said > 5
    counts = {each: text.count(each) for each in ("<>", ".", "x", "y")}
    assert counts == {"<>": said, ".": said, "x": number, "y": number}


@promise("send.whole")
def test_an_interrupt_of_a_write_does_not_stop_what_is_written_later_from_being_seen() -> None:
    with publisher() as channel:
        client, stream = channel.client(), channel.stream()
        with pytest.raises(KeyboardInterrupt), _raising_in(FlowIOPubThread.schedule):
            stream.write("one ")
        stream.write("two")

        assert client.receive() == ("stream", {"name": "stdout", "text": "one two"})


@promise("send.whole")
def test_a_flush_does_not_wait_for_ever_for_one_who_waits_for_its_thread() -> None:
    theirs, is_in = threading.Lock(), threading.Event()

    def wait() -> None:
        is_in.set()
        with theirs:  # as a finalizer that logs does: another one writes to that log
            pass

    def flush() -> None:
        with _Calling(Unsent._send, wait):
            while not is_in.is_set():  # until no timer comes first
                stream.write(".")
                written.append(".")
                stream.flush()

    with publisher() as channel:
        written: list[str] = []
        channel.thread.patience_s = 0.05
        client, stream = channel.client(), channel.stream()
        with theirs:
            thread = threading.Thread(target=flush)
            thread.start()
            assert is_in.wait(WAIT_S)
            stream.write("last words")
            stream.flush()
        thread.join()
        stream.flush()
        channel.send("last")

        assert client.text_until("last") == "".join(written) + "last words"


@promise("send.whole")
def test_who_has_the_lock_of_a_write_and_prints_waits_for_nobody() -> None:
    with publisher() as channel:
        client, stream = channel.client(), channel.stream()
        with stream.unsent.lock:
            stream.write("in the midst ")
            stream.flush()
            channel.send("other")
        stream.write("of a write")
        stream.flush()
        channel.send("last")

        assert client.text_until("last") == "in the midst of a write"


@promise("send.whole")
def test_text_written_before_a_fork_is_said_once_and_that_of_children_arrives(
    tmp_path: Path,
) -> None:
    with published_by(_FORKED, tmp_path) as (process, client):
        lines = client.text_until("last").splitlines()
        assert process.wait(WAIT_S) == 0

    assert sorted(lines) == [
        "after the forks", "before the fork", "child 0", "child 1", "child 2",
    ]  # fmt: skip


@promise("send.whole")
def test_a_fork_while_other_threads_write_and_send_hangs_nothing(tmp_path: Path) -> None:
    with published_by(_FORKED_BESIDE_WRITERS, tmp_path) as (process, client):
        text = client.text_until("last")
        assert process.wait(WAIT_S) == 0

    assert [text.count(f"child {number}\n") for number in range(20)] == [1] * 20


def test_what_is_held_back_is_bounded(tmp_path: Path) -> None:
    with published_by(_MUCH, tmp_path) as (process, client):
        found = client.until("last", keeps_last=True)
        assert process.wait(WAIT_S) == 0

    assert found.pop()[1]["number"] <= MOST_CHARS
    assert "".join(content["text"] for _, content in found) == "x" * 3_000_000


def test_the_first_switches_between_streams_are_kept_apart_and_many_more_are_joined() -> None:
    with publisher() as channel:
        client, out, err = channel.client(), channel.stream(), channel.stream("stderr")
        with out.unsent.lock:  # no timer comes between
            for number in range(4000):
                (out, err)[number % 2].write(f"{number} ")
        out.flush()
        channel.send("last")
        found = [(content["name"], content["text"]) for _, content in client.until("last")]

    first = [(("stdout", "stderr")[n % 2], f"{n} ") for n in range(MOST_SWITCHES)]
    assert found[:MOST_SWITCHES] == first
    assert len(found) < 2 * MOST_SWITCHES
    for name, remainder in (("stdout", 0), ("stderr", 1)):
        text = "".join(text for stream, text in found if stream == name)
        assert text.split() == [str(n) for n in range(4000) if n % 2 == remainder]


def test_text_is_seen_without_a_flush() -> None:
    with publisher() as channel:
        client, stream = channel.client(), channel.stream()
        for number in range(5):
            stream.write(f"{number}")
            assert client.receive() == ("stream", {"name": "stdout", "text": f"{number}"})


class _Calling:
    """In this thread, `call` is called when `function` is entered for the first time."""

    def __init__(self, function: Any, call: Callable[[], None]) -> None:
        self._code: CodeType = function.__code__
        self._call = call

    def __enter__(self) -> None:
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: object) -> None:
        if frame.f_code is self._code and event == "call":
            sys.settrace(None)
            self._call()


def _raising_in(function: Any) -> _Calling:
    """An interrupt as `function` is entered."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    return _Calling(function, interrupt)
