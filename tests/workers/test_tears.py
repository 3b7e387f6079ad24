"""A connection that breaks is noticed, also by a job that begins before it is whole again."""

from collections.abc import Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import pytest
import zmq

from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.channels import Channels
from flow_kernel.workers.job import Job
from flow_kernel.workers.relay import Relay
from flow_kernel.workers.worker import Worker
from tests.workers.trees import until


class Far:
    """The side that is far away: a publisher whose connection can break, and come back."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.socket = context.socket(zmq.XPUB)
        self.port = self.socket.bind_to_random_port("tcp://127.0.0.1")

    def breaks(self) -> None:
        self.socket.close(linger=0)

    def comes_back(self) -> None:
        self.socket = self._context.socket(zmq.XPUB)

        def has_bound() -> bool:
            try:
                self.socket.bind(f"tcp://127.0.0.1:{self.port}")
            except zmq.ZMQError:  # the old one is on its way out
                return False
            return True

        until(has_bound)

    def is_heard(self) -> bool:
        return bool(self.socket.poll(0))


class Connected:
    """A worker that is far away, as its session has it."""

    def __init__(self, context: Any, relay: Relay, far: Far) -> None:
        sockets = {name: context.socket(zmq.DEALER) for name in ("shell", "control", "stdin")}
        for name, socket in sockets.items():
            socket.connect(f"inproc://{name}")  # where nobody is, what is sent waits
        iopub = context.socket(zmq.SUB)
        iopub.reconnect_ivl = 10
        iopub.subscribe(b"")
        iopub.connect(f"tcp://127.0.0.1:{far.port}")
        until(far.is_heard)
        self.channels = Channels(
            **sockets, iopub=iopub, read=lambda _: None, open_heart=lambda: None
        )
        session = SimpleNamespace(serialize=lambda _: [b"job"])
        started: Any = SimpleNamespace(
            kind="remote", reason="", is_makeshift=False, last_words=None, pipes=(), line=None,
            process=SimpleNamespace(pid=None), manager=SimpleNamespace(session=session),
        )  # fmt: skip
        self.worker = Worker(
            "w1", started, self.channels,
            relay=relay, outlet=cast("Any", None), on_change=lambda *_: None,
        )  # fmt: skip
        assert self.worker._tears is not None
        self.tears = self.worker._tears
        until(lambda: self.tears._monitor is not None)


@pytest.fixture
def far() -> Iterator[Far]:
    context = zmq.Context()
    yield Far(context)
    context.destroy(linger=0)


@pytest.fixture
def connected(far: Far) -> Iterator[Connected]:
    context = zmq.Context()
    relay = Relay(Backlog())
    connected = Connected(context, relay, far)
    yield connected
    monitor = connected.tears._monitor
    relay.post(connected.tears.close)
    relay.close()
    context.destroy(linger=0)
    assert monitor.closed


def run(worker: Worker) -> Job:
    job = Job(header={"msg_id": "1"}, content={})
    worker.run(job)
    return job


def test_a_job_whose_connection_breaks_is_torn(far: Far, connected: Connected) -> None:
    job = run(connected.worker)
    assert not job.is_torn

    far.breaks()
    until(lambda: job.is_torn)


def test_a_job_that_begins_while_the_connection_is_broken_is_torn(
    far: Far, connected: Connected
) -> None:
    far.breaks()
    until(lambda: connected.tears.is_cut)
    assert run(connected.worker).is_torn


def test_a_job_that_begins_once_it_is_whole_again_is_not(far: Far, connected: Connected) -> None:
    far.breaks()
    until(lambda: connected.tears.is_cut)
    far.comes_back()
    until(far.is_heard)
    until(lambda: not connected.tears.is_cut)
    assert not run(connected.worker).is_torn


def test_a_job_of_many_hours_is_asked_after_a_few_times(
    far: Far, connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run(connected.worker)
    far.breaks()
    until(lambda: job.is_torn)
    now = SimpleNamespace(at_s=1000, time=lambda: 0.0, monotonic=lambda: now.at_s)
    monkeypatch.setattr("flow_kernel.workers.worker.time", now)
    asked: list[int] = []

    def ask(*_: object) -> "Future[Any]":
        asked.append(now.at_s - 1000)
        return Future()

    monkeypatch.setattr(connected.worker, "ask", ask)
    while now.at_s < 40_000:
        connected.worker.mind_reply(job)
        now.at_s += 1
    assert asked[:3] == [0, 6, 17]
    assert len(asked) < 20
