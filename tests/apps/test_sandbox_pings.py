"""Signs of life below the messages of the sandbox: sent, answered, and missed where none comes."""

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.dashboard import Listener
from tests.sandboxes import Raw, SandboxServer

pytest.importorskip("jupyter_server")
pytestmark = pytest.mark.usefixtures("servers")

_PINGS = "--ServerApp.tornado_settings={'ws_ping_interval': 100, 'ws_ping_timeout': 3000}"


def test_who_answers_pings_stays_who_does_not_is_left_and_nothing_is_warned_of(
    tmp_path: Path,
) -> None:
    with SandboxServer(tmp_path / "s", _PINGS) as server:
        host = {"Host": f"127.0.0.1:{server.port}", "Authorization": f"token {server.token}"}
        with Raw(server) as raw, Listener(server.port, "/flow/sandbox", host) as silent:
            left = _left(silent)
            while not left.wait(0.05):
                raw.ask({"type": "ping", "id": "alive"})  # reads what comes, and answers it
            pong = raw.ask({"type": "ping", "id": "still"})
        said = server.said

    assert (pong["type"], pong["id"]) == ("pong", "still")
    assert said.count("WebSocket ping timeout after") == 1
    assert "websocket_ping" not in said


def _left(silent: Listener) -> threading.Event:
    """Read what comes, beside the test, and answer no ping; set once the server has left."""
    left = threading.Event()

    def read() -> None:
        with suppress(ConnectionError):
            while True:
                silent.message()
        left.set()

    threading.Thread(target=read).start()
    return left
