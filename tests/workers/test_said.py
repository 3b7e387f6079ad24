"""What a worker has said is counted once, so that its last words are what nobody has heard."""

import json
import os
from collections.abc import Iterator

import pytest

from flow_kernel.workers.last_words import CAN_SHARE, LastWords, create
from flow_kernel.workers.messages import LONG_CHARS, Message, length_of, read
from flow_kernel.workers.said import Said

pytestmark = pytest.mark.skipif(not CAN_SHARE, reason="no such memory")


@pytest.fixture
def sides() -> Iterator[tuple[LastWords, Said]]:
    """The memory as its worker has it, and what the session knows of it."""
    fd = create()
    words, said = LastWords(fd), Said(LastWords(fd))
    os.close(fd)
    yield words, said
    words.close()


def stream(text: str) -> Message:
    """A message with text of stdout, as a worker sends it."""
    topic = [b"stream.stdout"]
    if len(text) > LONG_CHARS:
        topic.append(length_of(len(text), len(text), 0))
    header, content = {"msg_type": "stream"}, {"name": "stdout", "text": text}
    parts = [json.dumps(each).encode() for each in (header, {}, {}, content)]
    message = read([*topic, b"<IDS|MSG>", b"", *parts])
    assert message is not None
    return message


@pytest.mark.parametrize("length", [10, 2 * LONG_CHARS])
def test_text_that_is_heard_after_the_end_of_its_cell_is_counted_once(
    sides: tuple[LastWords, Said], length: int
) -> None:
    words, said = sides
    words.write(0, b"x" * length)
    said.catch_up()  # a thread has said it, the cell is over
    assert said.heard(stream("x" * length)) == length
    words.write(0, b"the end")
    assert [*said.last_words()] == [("stdout", b"the end")]


def test_text_that_was_on_its_way_at_the_end_of_a_cell_hides_no_last_words(
    sides: tuple[LastWords, Said],
) -> None:
    words, said = sides
    words.write(0, b"one two ")
    said.heard(stream("one "))
    said.catch_up()
    words.write(0, b"three")
    said.heard(stream("two "), is_late=True)
    assert [*said.last_words()] == [("stdout", b"three")]


def test_text_that_a_cell_has_taken_back_is_not_told_though_another_one_says_the_same(
    sides: tuple[LastWords, Said],
) -> None:
    words, said = sides
    words.write(0, b"same")
    said.catch_up()
    words.write(0, b"same")
    said.heard(stream("same"))
    assert [*said.last_words()] == []


def test_text_of_a_process_that_has_no_such_memory_hides_no_last_words(
    sides: tuple[LastWords, Said],
) -> None:
    words, said = sides
    words.write(0, b"mine")
    said.heard(stream("mine"))
    said.heard(stream("of a child that it has forked"))
    words.write(0, b"the end")
    assert [*said.last_words()] == [("stdout", b"the end")]


def test_what_was_heard_is_told_no_second_time(sides: tuple[LastWords, Said]) -> None:
    words, said = sides
    words.write(0, b"one two")
    said.heard(stream("one"))
    assert [*said.last_words()] == [("stdout", b" two")]
