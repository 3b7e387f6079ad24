"""Who is let in to the sandbox; what floods, nonsense, cut lines and slow readers do to it."""

import asyncio
import http.client
import itertools
import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from flow_kernel.sandbox import Sandbox
from tests.promises import promise
from tests.sandboxes import Raw, SandboxServer, checked, wait_for

MANY: Final = 100
LINES: Final = 2_000
COUNT: Final = "for n in range({many}):\n    print(n, flush=True)\n    if n == {many} // 2: input()"
_MB: Final = 1_000_000
NONSENSE: Final[list[Any]] = [
    "", " ", "{", "null", "[]", "1", '"x"', "\ud800".encode("utf-8", "surrogatepass"), b"\xff\xfe",
    "[" * 100_000, '{"type": ' * 1000, "{}", '{"type": null}', '{"type": []}', '{"type": "x"}',
    '{"type": "execute"}', '{"type": "ping", "more": 1}', '{"type": "ping", "id": 5}',
    '{"type": "ping", "id": "' + "x" * 200 + '"}', "x" * 1_100_000,
    *(
        json.dumps({"type": "execute_command", **said})
        for said in (
            {}, {"command": ""}, {"command": 5}, {"command": "a", "code": "b"}, {"code": ["x"]},
            {"command": "x" * 600_000}, {"command": "true", "taskId": ""},
            {"command": "true", "taskId": "../x"}, {"command": "true", "taskId": "a" * 200},
            {"command": "true", "taskId": 7}, {"command": "true", "taskId": "a\n"},
            {"command": "true", "timeout": 0}, {"command": "true", "timeout": -1},
            {"command": "true", "timeout": True}, {"command": "true", "timeout": "5s"},
            {"command": "true", "timeout": 1e300}, {"command": "true", "priority": 1.5},
            {"command": "true", "priority": 10**9}, {"command": "true", "requirements": []},
            {"command": "true", "requirements": {"gpu": 1}},
            {"command": "true", "requirements": {"memory": "1M"}},
            {"command": "true", "requirements": {"cpu": -1}},
            {"command": "true", "worker": "a b"}, {"command": "true", "worker": {}},
            {"command": "true", "workspace": 5}, {"command": "true", "workspace": "x" * 5000},
            {"command": "true", "shell": "zsh"}, {"resumeFrom": 1},
            {"taskId": "a", "resumeFrom": -1},
            {"taskId": "a", "resumeFrom": 1, "command": "true"}, {"taskId": "a", "resumeFrom": "1"},
        )
    ),
    '{"type": "terminate_task"}', '{"type": "terminate_task", "taskId": "none"}',
    '{"type": "send_input", "taskId": "none", "input": "x"}',
    '{"type": "send_input", "taskId": "none"}',
    '{"type": "send_input", "taskId": "none", "input": "x", "eof": true}',
    '{"type": "execute_command", "command": "true", "timeout": NaN}',
]  # fmt: skip
HOSTILE: Final = [
    "\x1b]52;c;aGk=\x07", "\x1b[2J", "\x00", "\u202e", "</script><img src=x>", "MCP::x {}",
    "'; rm -rf /; '", "$(id)", "%s%n", "\U0001f600", "\u2028", "\x85", "a" * 300, "\\", '"',
    "../..", "%%bash", "{{7*7}}", "\r\n", "\x7f",
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    with SandboxServer(tmp_path_factory.mktemp("access") / "s", is_cold=True) as server:
        yield server


@promise("sandbox.guarded")
def test_of_all_hosts_origins_tokens_and_methods_only_the_right_ones_are_let_in(
    server: SandboxServer,
) -> None:
    port, token = server.port, server.token
    hosts = {
        f"127.0.0.1:{port}": True, f"localhost:{port}": True, "evil.example": False,
        f"127.0.0.1.evil.example:{port}": False, f"127.0.0.1@evil.example:{port}": False,
    }  # fmt: skip
    origins = {
        None: True, "same": True, "null": False, "http://evil.example": False,
        f"http://127.0.0.1:{port + 1}": False, f"http://127.0.0.1.evil.example:{port}": False,
    }  # fmt: skip
    tokens = {
        f"token {token}": True, f"Bearer {token}": True, None: False, "token ": False,
        f"token {token[:-1]}": False, f"token {token.upper()}x": False, token: False,
    }  # fmt: skip
    wrong = []
    for (host, is_host), (origin, is_origin), (secret, is_token) in itertools.product(
        hosts.items(), origins.items(), tokens.items()
    ):
        code = _handshake(port, host, origin and origin.replace("same", f"http://{host}"), secret)
        if (code == 101) is not (is_host and is_origin and is_token):
            wrong.append((host, origin, secret, code))
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
        code = _handshake(port, f"127.0.0.1:{port}", None, f"token {token}", method)
        if code < 400 and method != "OPTIONS":
            wrong.append((method, code))

    assert wrong == []
    assert _handshake(port, f"127.0.0.1:{port}", None, None, query=f"?token={token}") == 101
    assert _handshake(port, f"127.0.0.1:{port}", None, None, query="?token=x") == 403


@promise("sandbox.guarded")
def test_each_message_that_is_none_is_refused_in_words_and_closes_nothing(
    server: SandboxServer,
) -> None:
    with Raw(server) as raw:
        answers = [raw.ask(each) for each in NONSENSE]
        marked = raw.ask({"type": "execute_command", "id": "m", "taskId": "t", "command": 1})
        assert raw.run(command="echo on")[1]["output"] == "on\n"

    assert {each["type"] for each in answers} == {"task_error"}
    assert {each["reason"] for each in answers} == {"bad_message", "too_large", "not_found"}
    assert {each["seq"] for each in answers} == {0}
    assert (marked["id"], marked["taskId"]) == ("m", "t")


@promise("sandbox.bounded")
def test_a_flood_of_messages_is_answered_one_by_one(server: SandboxServer) -> None:
    with Raw(server) as raw:
        before = server.rss_bytes()
        for number in range(3_000):
            raw.say({"type": "ping", "id": str(number)} if number % 2 else "nonsense")
        answers = [raw.hear() for _ in range(3_000)]

    assert [each.get("id") for each in answers[1::2]] == [str(n) for n in range(1, 3_000, 2)]
    assert {each["type"] for each in answers[::2]} == {"task_error"}
    assert server.rss_bytes() - before < 20_000_000


@promise("sandbox.guarded")
def test_hostile_text_comes_back_as_it_is_and_as_nothing_else(server: SandboxServer) -> None:
    text = "|".join(HOSTILE)
    with Raw(server) as raw:
        shown = raw.run(code=f"print({text!a}, end='')")
        raised = raw.run(code=f"raise ValueError({text!a})")
        half = raw.run(code="print('a\\ud800b', end='')")
        refused = [raw.ask({"type": each, "id": "x"}) for each in HOSTILE]
        paths = [
            raw.ask({"type": "execute_command", "command": "true", "workspace": each})
            for each in HOSTILE
        ]

    assert "".join(each.get("output", "") for each in shown) == text
    assert raised[-1]["error"] == {"name": "ValueError", "message": text}
    assert half[1]["type"] == "task_output"
    assert {each["reason"] for each in (*refused, *paths)} == {"bad_message"}
    assert all(each["message"].isprintable() for each in paths)


@promise("sandbox.runs")
def test_a_hundred_connections_at_once_are_served_without_an_error(server: SandboxServer) -> None:
    async def one(number: int) -> list[dict[str, Any]]:
        url = server.url.replace("http", "ws", 1) + "flow/sandbox"
        request = HTTPRequest(url, headers={"Authorization": f"token {server.token}"})
        connection = await websocket_connect(request)
        order = {"type": "execute_command", "command": f"echo {number}"}
        await connection.write_message(json.dumps(order))
        heard = []
        while not heard or heard[-1]["type"] not in ("task_complete", "task_error"):
            data = await connection.read_message()
            assert data is not None
            heard.append(checked(json.loads(data)))
        connection.close()
        assert await connection.read_message() is None
        return heard

    async def all_of_them() -> list[list[dict[str, Any]]]:
        async with asyncio.timeout(50):
            return await asyncio.gather(*(one(number) for number in range(MANY)))

    answers = asyncio.run(all_of_them())

    said = [(each[1].get("output"), each[-1].get("exitCode")) for each in answers]
    assert said == [(f"{number}\n", 0) for number in range(MANY)]


@promise("sandbox.resumed")
def test_a_cut_connection_loses_nothing_and_repeats_nothing(server: SandboxServer) -> None:
    heard: list[dict[str, Any]] = []
    raw = Raw(server)
    raw.say({"type": "execute_command", "taskId": "cut", "code": COUNT.format(many=LINES)})
    for number in range(6):
        heard += [raw.hear() for _ in range(2)]
        raw.cut()
        raw = Raw(server)
        if number == 4:
            raw.say({"type": "send_input", "taskId": "cut", "input": "go on"})
        raw.say({"type": "execute_command", "taskId": "cut", "resumeFrom": heard[-1]["seq"] + 1})
    with raw:
        heard += raw.hear_until("task_complete")
        raw.say({"type": "execute_command", "taskId": "cut", "resumeFrom": 0})
        again = raw.hear_until("task_complete")

    assert [each["seq"] for each in heard] == [*range(1, len(heard) + 1)]
    assert _text(heard) == "".join(f"{n}\n" for n in range(LINES))
    assert again == heard


@promise("sandbox.resumed")
def test_the_client_goes_on_by_itself_when_its_connection_breaks(server: SandboxServer) -> None:
    with server.connect() as client:
        task = client.run(code=COUNT.format(many=LINES))
        numbers = []
        for message in task:
            if message.stream == "stdin":
                _break(client)
                task.send("go on")
            elif message.stream == "stdout":
                numbers.append(message.output)
        assert "".join(numbers) == "".join(f"{n}\n" for n in range(LINES))


@promise("sandbox.resumed")
def test_a_task_whose_client_vanished_runs_on_and_is_found_by_another(
    server: SandboxServer,
) -> None:
    raw = Raw(server)
    raw.say({"type": "execute_command", "taskId": "lone", "command": "read -r x; echo done"})
    assert raw.hear_until("task_output")[-1]["stream"] == "stdin"
    raw.cut()
    with server.connect() as client:
        task = client.attach("lone", resume_from=3)
        task.send("")
        result = task.wait()

    assert (result.exit_code, result.stdout) == (0, "done\n")


@promise("sandbox.resumed")
def test_what_cannot_be_gone_on_with_is_refused_in_words(server: SandboxServer) -> None:
    with Raw(server) as raw:
        raw.run(taskId="short", command="true")
        none = raw.ask({"type": "execute_command", "taskId": "never", "resumeFrom": 1})
        ahead = raw.ask({"type": "execute_command", "taskId": "short", "resumeFrom": 99})
        twice = raw.ask({"type": "execute_command", "taskId": "short", "command": "true"})

    assert [(each["reason"], each["taskId"], each["seq"]) for each in (none, ahead, twice)] == [
        ("not_found", "never", 0), ("bad_message", "short", 0), ("exists", "short", 0),
    ]  # fmt: skip


@promise("sandbox.bounded")
def test_fifty_megabytes_wait_for_a_slow_reader_on_the_disk_and_arrive_whole(
    server: SandboxServer,
) -> None:
    with Raw(server) as other, Raw(server) as slow:
        other.run(command="true")
        before = server.rss_bytes()
        command = "seq 1 7000000 | head -c 50000000"
        slow.say({"type": "execute_command", "taskId": "big", "command": command})
        most = before

        def has_ended() -> bool:
            nonlocal most
            most = max(most, server.rss_bytes())
            return bool(other.ask({"type": "getHealth"})["tasks"] == 0)

        wait_for(has_ended)
        heard = slow.hear_until("task_complete")
        most = max(most, server.rss_bytes())

    expected = "".join(f"{n}\n" for n in range(1, 7_000_001))[: 50 * _MB]
    assert [each["seq"] for each in heard] == [*range(1, len(heard) + 1)]
    assert _text(heard) == expected
    assert most - before < 40 * _MB


@promise("sandbox.bounded")
def test_a_client_that_never_reads_holds_up_nobody(server: SandboxServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as deaf:
        deaf.sendall(
            b"GET /flow/sandbox HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: token %s\r\n\r\n"
            % (server.port, server.token.encode())
        )
        assert b"101" in deaf.recv(1000)
        order = {"type": "execute_command", "taskId": "deaf", "command": "seq 1 2000000"}
        deaf.sendall(_frame(json.dumps(order).encode()))
        with server.connect() as client:
            said = client.run("echo here").wait()
            wait_for(lambda: client.health()["tasks"] == 0)
            found = client.attach("deaf").wait()

    assert said.stdout == "here\n"
    assert len(found.stdout.splitlines()) == 2_000_000


def _text(messages: list[dict[str, Any]]) -> str:
    return "".join(each["output"] for each in messages if each.get("stream") == "stdout")


def _break(client: Sandbox) -> None:
    """Cut the connection of a client, and wait until it has another one."""
    before = client._connection
    client._loop.call_soon_threadsafe(before.protocol.stream.close)
    wait_for(lambda: client._connection not in (None, before))


def _frame(data: bytes) -> bytes:
    """A text frame of a client, masked with zeros."""
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


def _handshake(
    port: int,
    host: str,
    origin: str | None,
    secret: str | None,
    method: str = "GET",
    query: str = "",
) -> int:
    """The status of the answer to a handshake."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, f"/flow/sandbox{query}", skip_host=True)
        headers = {
            "Host": host, "Origin": origin, "Authorization": secret, "Upgrade": "websocket",
            "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }  # fmt: skip
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()
