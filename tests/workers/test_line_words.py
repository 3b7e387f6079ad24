"""What a worker says on its line and on its channel arrives in one order."""

import ctypes
import os
import socket
from collections import deque
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_kernel.workers.line import line_pair
from flow_kernel.workers.line_words import MOST_BYTES, Hearer, Speaker

pytestmark = pytest.mark.skipif(not hasattr(socket, "SOCK_SEQPACKET"), reason="no such sockets")


class Both:
    """A speaker, what it has said on the channel so far, and who hears both."""

    def __init__(self) -> None:
        self.line, fd = line_pair(b"w1")
        self.sock = socket.socket(fileno=fd)
        self.speaker = Speaker(self.sock)
        self.speaker.is_heard = True
        self.heard: list[list[bytes]] = []
        self.hearer = Hearer(self.line, lambda frames: self.heard.append([*frames]))
        self.channel: deque[Sequence[bytes]] = deque()

    def say(self, *message: bytes) -> bool:
        """Says a message; true where it went on the line."""
        rest = self.speaker.pass_on(message)
        if rest is not None:
            self.channel.append(rest)
        return rest is None

    def hear_channel(self) -> None:
        """The first message of the channel arrives, where there is one."""
        if self.channel:
            self.hearer.on_channel(self.channel.popleft())

    def close(self) -> None:
        """Closes both ends."""
        self.sock.close()
        self.line.close()


@pytest.fixture
def both() -> Iterator[Both]:
    made = Both()
    yield made
    made.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from([1, MOST_BYTES + 1])),
        st.tuples(st.sampled_from(["line", "channel"]), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_way_messages_go_they_arrive_in_the_order_in_which_they_were_said(
    steps: list[tuple[str, int]],
) -> None:
    both = Both()
    said = []
    for what, nbytes in steps:
        if what == "say":
            said.append([b"topic", b"<IDS|MSG>", b"%d:" % len(said) + bytes(nbytes)])
            both.say(*said[-1])
        elif what == "line":
            both.hearer.on_line()
        else:
            both.hear_channel()
        assert both.heard == said[: len(both.heard)]
    while both.channel:
        both.hear_channel()
    both.hearer.on_line()
    both.close()
    assert both.heard == said


@given(STEPS, st.integers(1, 3))
def test_the_order_holds_where_who_is_told_a_message_has_more_of_them_arrive(
    steps: list[tuple[str, int]], each: int
) -> None:
    both = Both()
    said: list[list[bytes]] = []
    heard = both.heard

    def take(frames: Sequence[bytes]) -> None:
        heard.append([*frames])
        if len(heard) % each == 0:  # as at the end of a cell
            both.hear_channel()
            both.hearer.on_line()

    both.hearer = Hearer(both.line, take)
    for what, nbytes in steps:
        if what == "say":
            said.append([b"topic", b"<IDS|MSG>", b"%d:" % len(said) + bytes(nbytes)])
            both.say(*said[-1])
        elif what == "line":
            both.hearer.on_line()
        else:
            both.hear_channel()
        assert heard == said[: len(heard)]
    while both.channel:
        both.hear_channel()
    both.hearer.on_line()
    both.close()
    assert heard == said


def test_a_message_behind_the_one_that_a_reply_waited_for_is_told_behind_it(both: Both) -> None:
    large = bytes(MOST_BYTES)
    for each in (b"reply", b"first" + large, b"second" + large):
        both.say(each)

    def take(frames: Sequence[bytes]) -> None:
        both.heard.append([*frames])
        if frames[0] == b"reply":  # read with the first one: the cell ends, the channel is drained
            both.hear_channel()

    both.hearer = Hearer(both.line, take)
    both.hear_channel()
    assert both.heard == [[b"reply"], [b"first" + large], [b"second" + large]]


def test_before_the_session_has_said_something_everything_goes_on_the_channel(both: Both) -> None:
    both.speaker.is_heard = False
    assert both.speaker.pass_on([b"topic", b"text"]) == [b"topic", b"text"]


def test_what_finds_the_line_full_goes_on_the_channel(both: Both) -> None:
    said = [[b"topic", b"%d" % number + bytes(MOST_BYTES // 2)] for number in range(200)]
    went_on_line = [both.say(*each) for each in said]
    assert False in went_on_line
    while both.channel:
        both.hear_channel()
    both.hearer.on_line()
    assert both.heard == said


def test_a_message_without_a_topic_and_one_in_parts_that_are_no_bytes_arrive_as_they_are(
    both: Both,
) -> None:
    both.say(b"<IDS|MSG>", bytes(MOST_BYTES))
    assert both.speaker.pass_on([b"topic", memoryview(b"x")]) == [
        b"topic",
        b"flow_number:2",
        memoryview(b"x"),
    ]
    both.hear_channel()
    assert both.heard == [[b"<IDS|MSG>", bytes(MOST_BYTES)]]


def test_a_buffer_that_has_no_length_goes_on_the_channel(both: Both) -> None:
    scalar = memoryview(ctypes.c_int(3))
    assert both.speaker.pass_on([b"topic", scalar]) == [b"topic", b"flow_number:1", scalar]


def test_what_could_not_be_said_on_the_channel_is_waited_for_by_nobody(both: Both) -> None:
    number = both.speaker.number
    assert not both.say(b"lost", bytes(MOST_BYTES))
    both.channel.clear()
    both.speaker.take_back(number)
    both.say(b"then")
    both.say(b"large", bytes(MOST_BYTES))
    both.say(b"last")
    both.hearer.on_line()
    assert both.heard == [[b"then"]]
    both.hear_channel()
    assert both.heard == [[b"then"], [b"large", bytes(MOST_BYTES)], [b"last"]]


def test_a_line_that_a_cell_has_closed_is_written_to_no_more(both: Both) -> None:
    fd = both.sock.fileno()
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), fd)
    theirs.setblocking(False)
    assert not both.say(b"topic", b"text")
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    both.hear_channel()
    assert (both.heard, both.hearer.is_over) == ([[b"topic", b"text"]], True)
    ours.close()
    theirs.close()


def test_what_was_said_behind_a_lost_message_of_the_channel_is_left_out_at_the_death(
    both: Both,
) -> None:
    both.say(b"first")
    both.say(bytes(MOST_BYTES + 1))  # it is in a thread of ZeroMQ, which dies as well
    both.say(b"third")
    both.hearer.on_death()
    assert both.heard == [[b"first"]]


def test_what_a_worker_said_before_it_died_is_heard_though_a_job_waits_for_it(both: Both) -> None:
    assert both.line.send([b"job"], before=0)
    both.say(b"first")
    both.say(b"last")
    both.sock.close()
    both.hearer.on_death()
    assert both.heard == [[b"first"], [b"last"]]


def test_a_message_that_cannot_be_passed_on_costs_itself_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    line, fd = line_pair(b"w1")
    heard = []

    def take(frames: Sequence[bytes]) -> None:
        if frames == [b"bad"]:
            raise ValueError
        heard.append([*frames])

    hearer = Hearer(line, take)
    with socket.socket(fileno=fd) as sock:
        speaker = Speaker(sock)
        speaker.is_heard = True
        for each in (b"bad", b"good"):
            assert speaker.pass_on([each]) is None
        hearer.on_line()
    line.close()
    assert heard == [[b"good"]]
    assert "dropped" in caplog.text
