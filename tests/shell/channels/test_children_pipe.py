"""What forked children say arrives whole, in order, and before what their parent says next."""

import hashlib
import os
import resource
import select
import socket
import sys
import threading
from pathlib import Path

import pytest

from flow_kernel.shell.channels.children_pipe import (
    _HEAD,
    _UNFINISHED,
    PACKET_BYTES,
    ChildrenPipe,
)
from tests.promises import promise
from tests.publishers import WAIT_S, Publisher, published_by, publisher

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere children speak as in stock ipykernel"
)
_IN_TURNS = """
import os
out.write("begin ")
for number in range(60):
    pid = os.fork()
    if pid == 0:
        out.write(f"<{number}"); out.write(">"); out.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    out.write(f"({number})")
out.flush(); last(); end()
"""
_LARGE = """
import os
for size in (0, 31_000, 32_000, 65_536, 9_000_000):
    pid = os.fork()
    if pid == 0:
        session.pid = os.getpid()
        session.send(thread, "large", {"text": "x" * size})
        os._exit(0)
    os.waitpid(pid, 0)
    session.send(thread, "large", {"text": "parent"})
last(); end()
"""
_TALKING_AT_ONCE = """
import os
pids = []
for child in range(4):
    pid = os.fork()
    if pid == 0:
        session.pid = os.getpid()
        for number in range(500):
            session.send(thread, "numbered", {"child": child, "number": number, "rest": "x" * 9000})
        os._exit(0)
    pids.append(pid)
for pid in pids:
    os.waitpid(pid, 0)
last(); end()
"""
_WITHOUT_PARENT = """
import os
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    os.read(read, 1)  # until the parent has gone
    session.pid = os.getpid()
    for number in range(1000):
        session.send(thread, "late", {"text": "x" * 60_000})
    print("went on", flush=True)
    os._exit(0)
os._exit(0)
"""
_DAEMON = """
import os, socket
ours, theirs = socket.socketpair()
pid = os.fork()
if pid == 0:
    high = os.dup2(theirs.detach(), 200)
    os.closerange(3, high)
    used = [os.dup(high) for _ in range(100)]  # whatever number had been ours
    for number in range(3):
        session.pid = os.getpid()
        session.send(thread, "daemon", {"number": number, "used": sum(map(os.isatty, used))})
    for each in used:
        os.fstat(each)
    os._exit(7)
theirs.close()
_, status = os.waitpid(pid, 0)
ours.setblocking(True)
session.send(thread, "daemon", {"code": status >> 8, "sent": ours.recv(1).decode()})
sys.stdin.readline()
"""
_HELD_LOCK = """
import ctypes, os
pid = os.fork()
if pid == 0:
    thread._children._writer.settimeout(0.2)
    session.pid = os.getpid()
    for number in range(100):
        session.send(thread, "numbered", {"number": number, "rest": "x" * 60_000})
    os._exit(0)
ctypes.PyDLL(None).waitpid(pid, None, 0)  # and no other thread has the interpreter lock
session.send(thread, "numbered", {"number": -1})
sys.stdin.readline()
"""


@promise("children.end")
def test_a_child_that_was_waited_for_has_said_all_before_its_parent_goes_on(tmp_path: Path) -> None:
    with published_by(_IN_TURNS, tmp_path) as (_, client):
        said = client.text_until("last")

    assert said == "begin " + "".join(f"<{n}>({n})" for n in range(60))


@promise("children.end")
def test_a_message_larger_than_a_packet_arrives_whole_and_in_turn(tmp_path: Path) -> None:
    with published_by(_LARGE, tmp_path) as (_, client):
        said = [content["text"] for _, content in client.until("last")]

    sizes = (0, 31_000, 32_000, 65_536, 9_000_000)
    assert said == [text for size in sizes for text in ("x" * size, "parent")]


@promise("children.end")
def test_messages_of_children_that_talk_at_once_are_not_mixed(tmp_path: Path) -> None:
    with published_by(_TALKING_AT_ONCE, tmp_path) as (_, client):
        said = [content for _, content in client.until("last")]

    assert {len(each["rest"]) for each in said} == {9000}
    for child in range(4):
        assert [e["number"] for e in said if e["child"] == child] == [*range(500)]


@promise("children.end")
def test_a_child_goes_on_when_its_parent_has_gone(tmp_path: Path) -> None:
    with published_by(_WITHOUT_PARENT, tmp_path) as (process, _):
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], WAIT_S)[0]
        assert process.stdout.readline() == "went on\n"


@promise("children.end")
def test_a_child_that_closes_all_descriptors_is_heard_and_keeps_those_it_opens(
    tmp_path: Path,
) -> None:
    with published_by(_DAEMON, tmp_path) as (_, client):
        said = [client.receive()[1] for _ in range(4)]

    assert sorted(said, key=lambda each: each.get("number", 3)) == [
        *({"number": number, "used": 0} for number in range(3)),
        {"code": 7, "sent": ""},
    ]


@promise("children.end")
def test_a_child_whose_parent_cannot_read_loses_nothing(tmp_path: Path) -> None:
    with published_by(_HELD_LOCK, tmp_path) as (_, client):
        said = [client.receive()[1]["number"] for _ in range(101)]

    assert sorted(said) == [*range(-1, 100)]


def _pair() -> ChildrenPipe:
    made = ChildrenPipe.made()
    assert made is not None
    return made


def test_a_reader_that_stands_still_holds_a_child_up_for_its_patience_only() -> None:
    pipe = _pair()
    pipe._writer.settimeout(0.05)
    frames = [b"x" * PACKET_BYTES]

    for _ in range(40):  # more than the socket takes
        pipe.say(frames)

    heard = pipe.heard()
    assert heard
    assert all(each == frames for each in heard)
    pipe.close()


def test_what_a_child_that_was_killed_left_unfinished_spoils_no_other_message() -> None:
    pipe = _pair()
    for killed in range(40):  # each of them after the first of two packets
        pipe._writer.sendmsg((_HEAD.pack(killed, 0, True), b"begun"))
    assert pipe.heard() == []
    whole = [b"head", os.urandom(PACKET_BYTES + 5), b""]

    pipe.say(whole)

    (heard,) = pipe.heard()
    assert [hashlib.sha256(each).digest() for each in heard] == [
        hashlib.sha256(each).digest() for each in whole
    ]
    assert len(pipe._pieces) <= _UNFINISHED
    pipe.close()


def test_a_pipe_that_cannot_be_made_leaves_children_to_stock() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # there are more already
    try:
        made = ChildrenPipe.made()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert made is None


@pytest.mark.timeout(20)
def test_a_default_timeout_of_the_cells_holds_no_look_up() -> None:
    socket.setdefaulttimeout(3600.0)
    try:
        pipe = _pair()
    finally:
        socket.setdefaulttimeout(None)

    assert pipe.heard() == []
    pipe.say([b"said"])
    assert pipe.heard() == [[b"said"]]
    pipe.close()


def test_a_class_that_a_cell_has_put_in_the_place_of_sockets_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Proxied(socket.socket):
        def __init__(self, *_: object, **__: object) -> None:
            raise ValueError("of the internet only")

    monkeypatch.setattr(socket, "socket", Proxied)
    pipe = _pair()

    pipe.say([b"said"])
    assert pipe.heard() == [[b"said"]]
    pipe.close()


@promise("children.end")
def test_threads_that_fork_at_once_lose_no_child() -> None:
    for _ in range(20):  # it is about the first forks of a channel
        with publisher() as channel:
            client = channel.client()
            together = threading.Barrier(4)

            def fork(
                number: int, channel: Publisher = channel, together: threading.Barrier = together
            ) -> None:
                together.wait()
                pid = os.fork()
                if pid == 0:
                    channel.session.pid = os.getpid()
                    channel.send("child", number=number)
                    os._exit(0)
                os.waitpid(pid, 0)

            threads = [threading.Thread(target=fork, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            channel.send("last")
            said = [content["number"] for _, content in client.until("last")]
        assert sorted(said) == [0, 1, 2, 3]


def test_a_channel_that_is_closed_makes_none_for_a_later_fork() -> None:
    with publisher() as closed:
        pass
    before = len(os.listdir("/proc/self/fd"))
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

    assert len(os.listdir("/proc/self/fd")) == before
    assert closed.thread.closed


@promise("children.end")
def test_children_that_do_not_stop_hold_their_parent_up_for_what_was_there_alone() -> None:
    pipe = ChildrenPipe.made()
    assert pipe is not None
    pids = []
    for _ in range(2):
        pids.append(os.fork())
        if pids[-1] == 0:
            pipe.forget_reader()
            for _ in range(2000):
                pipe.say([b"x" * 30_000])
            os._exit(0)
    room = pipe._writer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    looks, heard = list[int](), 0
    while heard < 4000:
        select.select([pipe], [], [], WAIT_S)
        looks.append(sum(len(frame) for message in pipe.heard() for frame in message))
        heard += looks[-1] // 30_000
    for pid in pids:
        os.waitpid(pid, 0)
    pipe.close()

    assert sum(looks) == 4000 * 30_000
    assert max(looks) <= room
