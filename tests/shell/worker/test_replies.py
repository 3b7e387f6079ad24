"""The reply to a job waits for the word that its worker is idle, and takes its place."""

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from flow_kernel.shell.worker.replies import LoadedSession
from flow_kernel.workers.job import JOB
from flow_kernel.workers.messages import read

REPLY = {"status": "ok"}


@pytest.fixture
def sockets() -> Iterator[tuple[Any, Any]]:
    context = zmq.Context()
    ours, theirs = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    theirs.bind("inproc://reply")
    ours.connect("inproc://reply")
    yield ours, theirs
    context.destroy(linger=0)


def _session(*, holds: bool = True) -> LoadedSession:
    session = LoadedSession(key=b"key")
    session.holds_replies = holds
    return session


def _answer(session: LoadedSession, ours: Any, found: dict[str, Any]) -> dict[str, Any]:
    request: dict[str, Any] = session.msg("execute_request")
    session.send(ours, "execute_reply", REPLY, request, metadata=found, ident=b"w1")
    return request


def _kinds(theirs: Any) -> list[str]:
    found = []
    while theirs.poll(0):
        message = read(theirs.recv_multipart())
        assert message is not None
        found.append(message.kind)
    return found


def test_the_reply_to_a_job_is_given_once_to_its_own_request(sockets: tuple[Any, Any]) -> None:
    ours, theirs = sockets
    session = _session()
    request = _answer(session, ours, {JOB: {"changes": None}})

    assert _kinds(theirs) == []
    reply = session.take_reply(request)
    assert reply is not None
    assert (reply["content"], reply["metadata"]) == (REPLY, {JOB: {"changes": None}})
    assert session.take_reply(request) is None


def test_a_reply_is_not_given_to_another_request(sockets: tuple[Any, Any]) -> None:
    session = _session()
    request = _answer(session, sockets[0], {JOB: {}})

    assert session.take_reply(session.msg("comm_msg")) is None
    assert session.take_reply(request) is not None


@pytest.mark.parametrize("found", [{}, {"started": "now"}])
def test_a_reply_to_no_job_is_sent_at_once(sockets: tuple[Any, Any], found: dict[str, Any]) -> None:
    ours, theirs = sockets
    session = _session()
    request = _answer(session, ours, found)

    assert _kinds(theirs) == ["execute_reply"]
    assert session.take_reply(request) is None


def test_variables_and_far_replies_do_not_wait(sockets: tuple[Any, Any]) -> None:
    ours, theirs = sockets
    session = _session()
    session.reply_buffers = (b"values",)
    _answer(session, ours, {JOB: {}})
    _answer(_session(holds=False), ours, {JOB: {}})

    assert _kinds(theirs) == ["execute_reply", "execute_reply"]
