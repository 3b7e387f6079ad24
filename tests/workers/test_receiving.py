"""What a worker says arrives whole: large parts uncopied, long text unparsed."""

from collections.abc import Iterator

import orjson
import pytest
import zmq
from jupyter_client.session import Session

from flow_kernel.workers.messages import Long, Message, length_of, read, reader
from flow_kernel.workers.receiving import LARGE_BYTES, received

Pair = tuple["zmq.Socket[bytes]", "zmq.Socket[bytes]"]
LONG = "é\n" * LARGE_BYTES


@pytest.fixture
def pair() -> Iterator[Pair]:
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as two:
        one.bind("inproc://pair")
        two.connect("inproc://pair")
        yield one, two


def stream(content: dict[str, str], length: bytes = b"", key: bytes = b"") -> list[bytes]:
    session = Session(key=key)
    message = session.msg("stream", content, parent=session.msg("execute_request"))
    ident = [b"topic", length] if length else b"topic"
    frames: list[bytes] = session.serialize(message, ident=ident)
    return frames


def whole(message: Message | None) -> Message:
    assert message is not None
    return message


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"one", b"two"],
        [b"topic", *stream({"name": "stdout", "text": "short"})],
        stream({"name": "stdout", "text": LONG}),
        [*stream({"name": "stdout", "text": "short"}), b"x" * LARGE_BYTES, b"buffer"],
        [b"x" * LARGE_BYTES, *stream({"name": "stdout", "text": "short"})],
    ],
)
def test_each_part_is_the_one_that_was_sent(pair: Pair, frames: list[bytes]) -> None:
    one, two = pair
    for _ in range(2):
        one.send_multipart(frames)
    for _ in range(2):
        assert [bytes(part) for part in received(two)] == frames
    with pytest.raises(zmq.Again):
        received(two)


def test_what_was_received_is_passed_on_byte_by_byte(pair: Pair) -> None:
    one, two = pair
    frames = stream({"name": "stdout", "text": LONG})
    one.send_multipart(frames)
    message = whole(read(received(two)))
    two.send_multipart(message.frames)
    assert one.recv_multipart() == frames
    assert message.content == {"name": "stdout", "text": LONG}


@pytest.mark.parametrize("key", [b"", b"theirs"])
def test_long_text_comes_with_its_length_and_goes_on_without(pair: Pair, key: bytes) -> None:
    one, two = pair
    content = {"name": "stderr", "text": LONG}
    one.send_multipart(stream(content, length_of(len(LONG), 3 * LARGE_BYTES, 7), key))
    message = whole(reader(key, b"")(received(two)))
    long = message.long
    assert isinstance(long, Long)
    found = (long.name, str(long.text), long.text.chars, long.text.utf8_bytes, long.spent)
    assert found == ("stderr", LONG, 2 * LARGE_BYTES, 3 * LARGE_BYTES, 7)
    assert [bytes(each) for each in message.frames][:2] == [b"topic", b"<IDS|MSG>"]
    assert orjson.loads(bytes(message.frames[-1])) == message.content == content


@pytest.mark.parametrize(
    "content",
    [{"text": LONG, "name": "stdout"}, {"name": "other", "text": LONG}, {"name": "stdout"}],
)
def test_content_of_another_shape_is_parsed_whole(content: dict[str, str]) -> None:
    message = whole(read(stream(content, length_of(1, 1, 1))))
    assert message.long is None
    assert message.content == content
    assert len(message.frames) == len(stream(content))


@pytest.mark.parametrize("length", [b"flow_length:", b"flow_length:1:x:3", b"flow_length:1:2:3:4"])
def test_a_length_that_is_none_is_left_out(length: bytes) -> None:
    content = {"name": "stdout", "text": LONG}
    message = whole(read(stream(content, length)))
    assert message.long is None
    assert message.content == content
