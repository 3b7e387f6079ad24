"""A request that has come already is refused, and is kept in a few bytes."""

import sys

import pytest
from jupyter_client.session import Session

from flow_kernel.shell.channels.short_digests import ShortDigests, shorten_digests
from tests.promises import promise


def _message(session: Session, number: int) -> list[bytes]:
    return session.serialize(session.msg("execute_request", {"code": str(number)}))[1:]


@promise("memory.cell")
def test_a_request_is_taken_once_before_and_after() -> None:
    client, kernel = Session(key=b"k"), Session(key=b"k")
    before, after = _message(client, 1), _message(client, 2)
    kernel.deserialize(before)
    shorten_digests(kernel)
    assert type(kernel.digest_history) is ShortDigests

    assert kernel.deserialize(after)["content"] == {"code": "2"}
    for seen in (before, after):
        with pytest.raises(ValueError, match="Duplicate Signature"):
            kernel.deserialize(seen)


@promise("memory.cell")
def test_the_last_requests_are_remembered_and_others_go() -> None:
    client, kernel = Session(key=b"k"), Session(key=b"k", digest_history_size=20)
    shorten_digests(kernel)
    messages = [_message(client, number) for number in range(100)]
    for message in messages:
        kernel.deserialize(message)

    assert type(kernel.digest_history) is ShortDigests
    assert len(kernel.digest_history) <= 20
    with pytest.raises(ValueError, match="Duplicate Signature"):
        kernel.deserialize(messages[-1])


@promise("memory.cell")
def test_what_is_kept_of_a_request_are_32_bytes() -> None:
    digests = ShortDigests()
    for number in range(1000):
        digests.add(f"{number:064x}".encode())

    assert {sys.getsizeof(each) for each in digests} <= {28, 32}
