"""The stream of a task: cut connections, slow and vanished readers, more output than is kept."""

import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest

from flow_kernel.sandbox import Sandbox
from tests.promises import promise
from tests.sandboxes import Raw, SandboxServer, wait_for

MANY: Final = 2_000
COUNT: Final = "for n in range({many}):\n    print(n, flush=True)\n    if n == {many} // 2: input()"
_MB: Final = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    root = tmp_path_factory.mktemp("streams") / "s"
    with SandboxServer(root, "--FlowSandboxApp.output_bytes=80000000") as server:
        yield server


def _text(messages: list[dict[str, Any]]) -> str:
    return "".join(each["output"] for each in messages if each.get("stream") == "stdout")


@promise("sandbox.resumed")
def test_a_cut_connection_loses_nothing_and_repeats_nothing(server: SandboxServer) -> None:
    heard: list[dict[str, Any]] = []
    raw = Raw(server)
    raw.say({"type": "execute_command", "taskId": "cut", "code": COUNT.format(many=MANY)})
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
    assert _text(heard) == "".join(f"{n}\n" for n in range(MANY))
    assert again == heard


@promise("sandbox.resumed")
def test_the_client_goes_on_by_itself_when_its_connection_breaks(server: SandboxServer) -> None:
    with server.connect() as client:
        task = client.run(code=COUNT.format(many=MANY))
        numbers = []
        for message in task:
            if message.stream == "stdin":
                _break(client)
                task.send("go on")
            elif message.stream == "stdout":
                numbers.append(message.output)
        assert "".join(numbers) == "".join(f"{n}\n" for n in range(MANY))


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


def _break(client: Sandbox) -> None:
    """Cut the connection of a client, and wait until it has another one."""
    before = client._connection
    client._loop.call_soon_threadsafe(before.protocol.stream.close)
    wait_for(lambda: client._connection not in (None, before))


def _frame(data: bytes) -> bytes:
    """A text frame of a client, masked with zeros."""
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data
