"""The line on which a job goes straight to the main thread of its worker."""

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workers.line import MOST_BYTES, Line, Packet, line_pair, receive

pytestmark = pytest.mark.skipif(not hasattr(socket, "SOCK_SEQPACKET"), reason="no such sockets")


@pytest.fixture
def ends() -> Iterator[tuple[Line, socket.socket]]:
    line, fd = line_pair(b"w1")
    theirs = socket.socket(fileno=fd)
    yield line, theirs
    theirs.close()
    line.close()


@given(before=st.integers(0, 2**64 - 1), frames=st.lists(st.binary(max_size=2000), max_size=9))
def test_a_job_arrives_as_it_was_sent(before: int, frames: list[bytes]) -> None:
    line, fd = line_pair(b"w1")
    with socket.socket(fileno=fd) as theirs:
        assert line.send(frames, before=before)
        assert receive(theirs) == Packet(before, [b"w1", *frames])
    line.close()


def test_jobs_arrive_in_order_and_then_there_is_none(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    assert line.send([b"first"], before=0)
    assert line.send([memoryview(b"second")], before=1)
    assert [receive(theirs), receive(theirs)] == [
        Packet(0, [b"w1", b"first"]),
        Packet(1, [b"w1", b"second"]),
    ]
    with pytest.raises(BlockingIOError):
        receive(theirs)
    line.close()
    with pytest.raises(EOFError):
        receive(theirs)


def test_what_does_not_fit_goes_another_way(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    assert not line.send([bytes(MOST_BYTES)], before=0)
    with pytest.raises(BlockingIOError):
        receive(theirs)


def test_a_line_that_nobody_reads_takes_nothing_more(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    taken = 0
    while line.send([bytes(MOST_BYTES // 2)], before=0):
        taken += 1
    assert taken > 0
    theirs.close()
    assert not line.send([b"job"], before=0)


def test_a_fork_of_the_session_sends_nothing(ends: tuple[Line, socket.socket]) -> None:
    line, theirs = ends
    pid = os.fork()
    if pid == 0:
        os._exit(line.send([b"job"], before=0))
    assert os.waitpid(pid, 0)[1] == 0
    with pytest.raises(BlockingIOError):
        receive(theirs)
