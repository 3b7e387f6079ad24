"""The client of the sandbox when its connection breaks: nothing runs twice, nothing waits for ever.

At the other end is a server of ours that says what the test has it say, since the real one cannot
be had to lose a connection between two given bytes.
"""

import asyncio
import json
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from flow_kernel.errors import KernelGone, UsageError
from flow_kernel.sandbox import connect
from tests.sandboxes import wait_for


class Peer:
    """See the module.

    Attributes:
        name: By which it says which server it is.
        heard: What clients have said, but pings.
        refusals: Statuses that the next handshakes are answered with.
        is_open: Cleared to have handshakes wait.
        asked: How many handshakes there were.
        opened: How many of them gave a connection.
        living: How many connections there are.
        pings: How many were answered.
        on_turn: Called when a connection is there, and when one that is deaf is asked.
    """

    def __init__(self) -> None:
        self.name = "one"
        self.heard: list[dict[str, Any]] = []
        self.refusals: list[int] = []
        self.is_open = threading.Event()
        self.is_open.set()
        self.asked = self.opened = self.living = self.pings = 0
        self.on_turn: Callable[[], object] = lambda: None
        self.socket: _Handler | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="peer")

    def __enter__(self) -> Self:
        self._thread.start()
        (socket,) = bind_sockets(0, "127.0.0.1")
        self.url = f"http://127.0.0.1:{socket.getsockname()[1]}"

        async def listen() -> HTTPServer:
            handlers: list[Any] = [
                ("/flow/sandbox", _Handler, {"peer": self}),
                ("/page/.*", _Page),
            ]
            server = HTTPServer(Application(handlers))
            server.add_sockets([socket])
            return server

        self._server = self.do(listen())
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.stop()
            await self._server.close_all_connections()
            await self._loop.shutdown_default_executor()

        self.do(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, doing: Any) -> Any:
        """Run something in its loop."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(20)

    def say(self, kind: str, task_id: str, seq: int, **more: Any) -> None:
        """Send a message."""
        told = {"type": kind, "taskId": task_id, "workerId": None, "seq": seq, "timestamp": 0}

        async def send() -> None:
            assert self.socket is not None
            await self.socket.write_message(json.dumps(told | more))

        self.do(send())

    def refuse(self, reason: str, task_id: str) -> None:
        """Refuse a message."""
        self.say("task_error", task_id, 0, reason=reason, message="no", hint="")

    def cut(self) -> None:
        """Break the connection."""
        before: Any = self.socket

        async def cut() -> None:
            before.ws_connection.stream.close()

        self.do(cut())

    def hears(self, *kinds: str) -> None:
        """Wait until this is what it has heard: what each message asks for."""

        def said() -> list[str]:
            return [
                f"{each['type']} {each.get('resumeFrom', 'run')}"
                if each["type"] == "execute_command" else each["type"]
                for each in self.heard
            ]  # fmt: skip

        try:
            wait_for(lambda: said() == list(kinds), 10)
        except AssertionError:
            assert said() == list(kinds)


class _Handler(WebSocketHandler):
    def initialize(self, peer: Peer) -> None:
        self.peer = peer
        self.is_deaf = False
        """True for one that lives, and on which nothing is answered."""

    async def prepare(self) -> None:
        self.peer.asked += 1
        await asyncio.to_thread(self.peer.is_open.wait, 20)
        if self.peer.refusals:
            raise HTTPError(self.peer.refusals.pop(0))

    def open(self, *_: str, **__: str) -> None:
        self.peer.socket = self
        self.peer.opened += 1
        self.peer.living += 1
        self.peer.on_turn()

    def on_close(self) -> None:
        self.peer.living -= 1

    def on_message(self, message: str | bytes) -> None:
        said = json.loads(message)
        if self.is_deaf:
            self.peer.on_turn()
            return
        if said["type"] != "ping":
            self.peer.heard.append(said)
            return
        answer = {"type": "pong", "taskId": None, "workerId": None, "seq": 0, "timestamp": 0}
        more = {"id": said["id"]} if "id" in said else {}
        self.write_message(json.dumps({**answer, **more, "server": self.peer.name}))
        self.peer.pings += 1


class _Page(RequestHandler):
    def get(self) -> None:
        self.finish("no sandbox")


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as peer:
        yield peer


RUN = "execute_command run"


def test_an_order_that_is_given_while_the_connection_is_remade_is_sent_once(peer: Peer) -> None:
    with connect(peer.url) as client:
        before = client._connection
        peer.is_open.clear()
        peer.cut()
        wait_for(lambda: client._connection is None)
        ordering = threading.Thread(target=client.run, args=("true",), kwargs={"task_id": "t"})
        ordering.start()
        wait_for(lambda: "t" in client._state.tasks)
        peer.is_open.set()
        ordering.join(10)
        client.ping()

        peer.hears(RUN)
        assert client._connection is not before


def test_an_order_that_did_not_arrive_is_sent_again_to_the_same_server_alone(peer: Peer) -> None:
    with connect(peer.url) as client:
        task = client.run("true", task_id="t")
        peer.hears(RUN)
        peer.cut()
        peer.hears(RUN, "execute_command 1")
        peer.refuse("not_found", "t")
        peer.hears(RUN, "execute_command 1", RUN)
        peer.refuse("exists", "t")
        peer.hears(RUN, "execute_command 1", RUN, "execute_command 1")
        assert task.error is None

        peer.name = "two"
        peer.cut()
        with pytest.raises(KernelGone, match="lost: the server was started anew"):
            task.wait(10)
        client.ping()
        assert len(peer.heard) == 4


def test_an_order_whose_task_is_over_and_forgotten_is_not_given_a_third_time(peer: Peer) -> None:
    with connect(peer.url) as client:
        task = client.run("true", task_id="t")
        peer.hears(RUN)
        peer.cut()
        peer.hears(RUN, "execute_command 1")
        peer.refuse("not_found", "t")
        peer.hears(RUN, "execute_command 1", RUN)
        peer.refuse("forgotten", "t")
        with pytest.raises(UsageError, match="forgotten: no"):
            task.wait(10)
        client.ping()
        assert len(peer.heard) == 3


def test_an_order_whose_id_is_taken_is_refused(peer: Peer) -> None:
    with connect(peer.url) as client:
        task = client.run("true", task_id="t")
        with pytest.raises(UsageError, match="this client runs a task t already"):
            client.run("true", task_id="t")
        peer.refuse("exists", "t")
        with pytest.raises(UsageError, match="exists: no"):
            task.wait(10)


def test_a_server_that_is_busy_is_tried_again_and_one_that_refuses_is_not(peer: Peer) -> None:
    with connect(peer.url, reconnect_s=20) as client:
        task = client.attach("t", resume_from=0)
        peer.refusals = [429, 502, 503]
        peer.cut()
        peer.hears("execute_command 1", "execute_command 1")
        peer.say("task_complete", "t", 1, exitCode=0, elapsedMs=1.0)
        assert task.wait(10).exit_code == 0

        other = client.attach("u")
        peer.refusals = [403]
        peer.cut()
        with pytest.raises(UsageError, match="HTTP 403"):
            other.wait(10)


def test_a_connection_whose_other_end_is_silent_when_asked_is_made_anew(peer: Peer) -> None:
    with connect(peer.url, silence_s=0.05, reconnect_s=20) as client:
        task = client.attach("t")
        peer.hears("execute_command 1")
        before, patience_s, pings = peer.socket, client._timeout_s, peer.pings
        assert before is not None
        # Little patience with this connection alone, or a pause of ours ends others as well.
        peer.on_turn = lambda: setattr(client, "_timeout_s", patience_s)
        client._timeout_s = 0.2
        wait_for(lambda: peer.pings >= pings + 2 or peer.socket is not before)
        before.is_deaf = True
        peer.hears("execute_command 1", "execute_command 1")
        peer.say("task_complete", "t", 1, exitCode=0, elapsedMs=1.0)

        assert task.wait(10).exit_code == 0
        assert peer.socket is not before


def test_a_handshake_that_comes_too_late_leaves_no_connection(peer: Peer) -> None:
    with connect(peer.url, reconnect_s=20) as client:
        patience_s = client._timeout_s
        peer.is_open.clear()
        client._timeout_s = 0.2
        peer.cut()
        wait_for(lambda: peer.asked == 3)
        client._timeout_s = patience_s
        peer.is_open.set()
        client.ping()

        wait_for(lambda: peer.opened == peer.asked)
        wait_for(lambda: peer.living == 1)


NO_ORDERS: list[dict[str, Any]] = [
    {"timeout_s": math.nan}, {"timeout_s": math.inf}, {"timeout_s": 0}, {"timeout_s": -1},
    {"task_id": 5}, {"task_id": object()}, {"task_id": "../x"}, {"command": "\ud800"},
    {"command": "x" * 1_100_000}, {"command": "x" * 600_000}, {"workspace": 5},
    {"priority": 10**400}, {"nonsense": 1}, {"id": 7},
]  # fmt: skip


def test_an_order_that_no_server_takes_is_refused_at_once_and_not_sent(peer: Peer) -> None:
    with connect(peer.url) as client:
        for order in NO_ORDERS:
            with pytest.raises(UsageError, match=r"^(bad_message|too_large): "):
                client.run(**{"command": "true", **order})
        client.ping()
        assert peer.heard == []
        assert client._state.tasks == {}


def test_an_input_that_no_server_takes_is_refused_and_its_task_goes_on(peer: Peer) -> None:
    with connect(peer.url) as client:
        task = client.run("cat", task_id="t", worker=None)
        with pytest.raises(UsageError, match="too_large: input"):
            task.send("x" * 600_000)
        with pytest.raises(UsageError, match=r"bad_message: .*surrogates"):
            task.send("\ud800")
        peer.hears(RUN)
        peer.say("task_complete", "t", 1, exitCode=0, elapsedMs=1.0)

        assert task.wait(10).exit_code == 0


def test_a_server_that_has_no_sandbox_is_told_as_such(peer: Peer) -> None:
    with pytest.raises(UsageError, match="no sandbox answers there"):
        connect(f"{peer.url}/page", timeout_s=5)
