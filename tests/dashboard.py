"""`jupyter flow serve` in a process of its own, asked as programs and as a browser would ask.

Used by `tests/apps/test_dashboard_*.py`, `tests/flows/test_dashboard*.py` and by the benchmark of
the dashboard. The WebSocket client is a few lines on a raw socket: what a peer does that reads
nothing, or vanishes, is a part of what is tested.
"""

import base64
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self
from urllib.parse import quote, urlencode

from tests import browser
from tests.ends import kill_server
from tests.environments import environment

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.forked import Zygote

START_S: Final = 30.0
DEADLINE_S: Final = 15.0
DEADLINE_MS: Final = 15_000.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: bytes
    cookies: str = ""

    @property
    def document(self) -> Any:
        """The JSON in it."""
        return json.loads(self.body)


class Served:
    """The dashboard of a home.

    Args:
        root: An empty folder for all that the server writes.
        home: What it shows.
        env: Variables to set, or to remove where None.
        is_cold: Started as people start it, though there is what forks it.
    """

    warm: ClassVar["Zygote | None"] = None
    """What forks servers under test where a module wants it; the fixture `servers` sees to it."""

    def __init__(
        self,
        root: Path,
        home: Path,
        *,
        env: Mapping[str, str | None] | None = None,
        is_cold: bool = False,
    ) -> None:
        self._warm = None if is_cold else self.warm
        self.root = root
        self.home = home
        self.token = secrets.token_hex(16)
        self._env = dict(env or {})

    def __enter__(self) -> Self:
        folders = {
            f"JUPYTER_{name.upper()}_DIR": str(self.root / name) for name in ("config", "runtime")
        }
        known = self.root / "runtime"
        verb = ("serve", "--no-browser", "--port", "0", "--home", str(self.home))
        env = environment(folders | {"JUPYTER_TOKEN": self.token} | self._env)
        self.process = self._begin(verb, env)
        deadline = time.monotonic() + START_S
        facts = known / f"jpserver-{self.process.pid}.json"
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(FileNotFoundError, json.JSONDecodeError, ConnectionRefusedError):
                self.port = int(json.loads(facts.read_text("utf-8"))["port"])
                socket.create_connection(("localhost", self.port), DEADLINE_S).close()
                return self
            time.sleep(0.02)
        self.process.kill()
        raise TimeoutError(f"it does not listen: {self.said()}")

    def _begin(self, verb: tuple[str, ...], env: dict[str, str]) -> Any:
        where, cwd = self.root / "said.txt", self.home.parent
        if self._warm is not None:
            return self._warm.begin(*verb, env=env, cwd=cwd, output=where)
        with where.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "flow_kernel.apps.cli", *verb],
                env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        kill_server(self.process, grace_s=DEADLINE_S)

    def said(self) -> str:
        """What it printed."""
        return (self.root / "said.txt").read_text("utf-8", errors="replace")

    @property
    def origin(self) -> str:
        """Of its pages."""
        return f"http://localhost:{self.port}"

    @property
    def page(self) -> str:
        """The address that a person opens."""
        return f"{self.origin}/flow/?token={self.token}"

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send one request exactly like this; without headers of ours but Host."""
        connection = HTTPConnection("localhost", self.port, timeout=DEADLINE_S)
        try:
            sent = {"Host": f"localhost:{self.port}", **(headers or {})}
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            found = connection.getresponse()
            told = {name.lower(): value for name, value in found.getheaders()}
            set_now = [v for name, v in found.getheaders() if name.lower() == "set-cookie"]
            cookies = "; ".join(each.partition(";")[0] for each in set_now)
            return Answer(found.status, told, found.read(), cookies)
        finally:
            connection.close()

    @property
    def rights(self) -> dict[str, str]:
        """What lets a program in."""
        return {"Authorization": f"token {self.token}"}

    def get(self, path: str, **arguments: object) -> Any:
        """The document at `/flow/api/…`."""
        query = urlencode(arguments)
        found = self.ask(
            "GET", f"/flow/api/{path}{'?' if query else ''}{query}", headers=self.rights
        )
        assert found.status == 200, found.body
        return found.document

    def post(self, path: str, document: object) -> Answer:
        """Send a document to `/flow/api/…`."""
        headers = self.rights | {"Content-Type": "application/json"}
        body = json.dumps(document).encode()
        return self.ask("POST", f"/flow/api/{path}", headers=headers, body=body)

    def listen(self, *, headers: Mapping[str, str] | None = None, room: int = 0) -> "Listener":
        """Open the WebSocket; see `Listener`."""
        sent = {"Host": f"localhost:{self.port}", **self.rights} if headers is None else headers
        return Listener(self.port, "/flow/api/live", sent, room=room)


class Listener:
    """A WebSocket that a test reads; `status` is 101 where the server let it in.

    Args:
        port: Of the server.
        path: Of the socket.
        headers: Sent besides those of the protocol.
        room: Bytes that the system keeps for a reader that is slow; 0 for as usual.
    """

    def __init__(self, port: int, path: str, headers: Mapping[str, str], *, room: int = 0) -> None:
        self.socket = socket.create_connection(("localhost", port), DEADLINE_S)
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        lines = [
            f"GET {path} HTTP/1.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._bytes = b""
        head = self._until(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1])
        self._has_begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def message(self) -> dict[str, Any]:
        """The next message; that the server is still there is none, but for the first."""
        while True:
            first, second = self._take(2)
            length = second & 127
            if length == 126:
                length = int.from_bytes(self._take(2), "big")
            elif length == 127:
                length = int.from_bytes(self._take(8), "big")
            payload = self._take(length)
            if first & 15 == 1:
                found: dict[str, Any] = json.loads(payload)
                if found or not self._has_begun:
                    self._has_begun = True
                    return found
            if first & 15 == 8:
                raise ConnectionError(f"closed: {payload[2:].decode()}")

    def has_more(self, within_s: float) -> bool:
        """Whether something arrives."""
        return bool(self._bytes or select.select([self.socket], [], [], within_s)[0])

    def _take(self, count: int) -> bytes:
        while len(self._bytes) < count:
            block = self.socket.recv(65536)
            if not block:
                raise ConnectionError("the server has gone")
            self._bytes += block
        found, self._bytes = self._bytes[:count], self._bytes[count:]
        return found

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._bytes:
            block = self.socket.recv(65536)
            if not block:
                raise ConnectionError("the server has gone")
            self._bytes += block
        found, _, self._bytes = self._bytes.partition(mark)
        return found


@contextmanager
def window(*, is_dark: bool = False, blocked: tuple[str, ...] = ()) -> "Iterator[Page]":
    """A page of a real Chromium that fails at any error or refusal of the policy.

    Args:
        is_dark: As the user has it.
        blocked: How the errors begin that the test makes on purpose.
    """
    from playwright.sync_api import sync_playwright  # missing where nobody tests pages

    trouble: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser.program(),
            args=[*browser.QUIET_FLAGS, "--disable-dev-shm-usage"],
        )
        try:
            page = chromium.new_page(
                viewport={"width": 1180, "height": 760},
                color_scheme="dark" if is_dark else "light",
            )
            page.set_default_timeout(DEADLINE_MS)
            page.on("pageerror", lambda error: trouble.append(str(error)))
            page.on(
                "console",
                lambda said: (
                    trouble.append(said.text)
                    if said.type == "error" and not said.text.startswith(blocked)
                    else None
                ),
            )
            page.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
            yield page
        finally:
            chromium.close()
    assert trouble == [], trouble


def api(*parts: str) -> str:
    """A path out of parts that may hold anything."""
    return "/".join(quote(part, safe="") for part in parts)


def go(page: "Page", where: str, wait_for: str) -> None:
    """Go to a view of the dashboard, and wait for something of it."""
    page.goto(f"{page.url.partition('#')[0]}#/{where}")
    page.locator(wait_for).first.wait_for()
