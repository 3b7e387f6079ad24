"""How a client finds a server, and how its messages are written, sent and heard.

Used by `client`, in both of its threads.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

from flow_kernel.apps.sandbox import wire
from flow_kernel.errors import UsageError

_PATH: Final = "/flow/sandbox"


def address(url: str, token: str) -> Callable[[], Any]:
    """What makes the request for the handshake.

    Raises:
        UsageError: It is no address.
    """
    parts = urlsplit(url)
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if parts.scheme not in schemes or not parts.netloc:
        raise UsageError(
            f"{url[:80]!r} is no address of a server", hint="try http://127.0.0.1:8888"
        )
    path = parts.path.rstrip("/").removesuffix("/lab").removesuffix("/tree")
    path = path if path.endswith(_PATH) else path + _PATH
    token = token or parse_qs(parts.query).get("token", [""])[0]
    address = urlunsplit((schemes[parts.scheme], parts.netloc, path, "", ""))

    def request() -> Any:
        from tornado.httpclient import HTTPRequest  # with the connection

        headers = {"Authorization": f"token {token}"} if token else {}
        return HTTPRequest(address, headers=headers, connect_timeout=10.0)

    return request


def mind(said: Mapping[str, Any]) -> None:
    """Look whether a server can take a message.

    What it cannot read at all it can refuse only without the id of the task, which would wait.

    Raises:
        UsageError: It cannot.
    """
    try:
        text = _written(said)
        text.encode()
        wire.read(text)
    except wire.Refused as error:
        raise UsageError(f"{error.reason}: {error.message}", hint=error.hint) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"bad_message: {error}") from None


async def write(connection: Any, said: Mapping[str, Any]) -> bool:
    """Send a message; False where the connection is broken."""
    from tornado.websocket import WebSocketClosedError  # 60 ms that other users need not pay

    try:
        await connection.write_message(_written(said))
    except WebSocketClosedError:
        return False
    return True


async def hear(connection: Any, *, silence_s: float, answer_s: float) -> str | bytes | None:
    """The next message; None where the connection is broken, or nobody is there any more.

    Args:
        connection: Of tornado.
        silence_s: After so long without a word the server is asked for a sign of life.
        answer_s: So long it has for that.
    """
    reading = asyncio.ensure_future(connection.read_message())
    try:
        done, _ = await asyncio.wait([reading], timeout=silence_s)
        if not done:
            asking = asyncio.ensure_future(write(connection, {"type": "ping"}))
            done, _ = await asyncio.wait([reading], timeout=answer_s)
            asking.cancel()
        data: str | bytes | None = reading.result() if done else None
        return data
    finally:
        reading.cancel()  # or it would take what others wait for


async def opened(coming: Awaitable[Any]) -> Any:
    """A connection that is being made; nothing is left of one that comes too late."""
    opening = asyncio.ensure_future(coming)
    try:
        return await asyncio.shield(opening)
    except BaseException:
        opening.add_done_callback(_unwanted)
        raise


def _unwanted(opening: "asyncio.Future[Any]") -> None:
    """Nobody waits any more for a connection that comes now."""
    if not opening.cancelled() and opening.exception() is None:
        cut(opening.result())


def cut(connection: Any) -> None:
    """Give a connection up, without waiting for whoever may be at its other end."""
    stream = getattr(connection.protocol, "stream", None)
    connection.close()
    if stream is not None:
        stream.close()


def told(data: str | bytes | None) -> dict[str, Any]:
    """A message that was heard.

    Raises:
        ConnectionResetError: The connection is closed.
    """
    if data is None:
        raise ConnectionResetError("it has closed the connection")
    return dict(json.loads(data))


def error_of(said: Mapping[str, Any]) -> UsageError:
    """What a refusal is raised as."""
    return UsageError(f"{said['reason']}: {said['message']}", hint=str(said.get("hint", "")))


def _written(said: Mapping[str, Any]) -> str:
    return json.dumps(said, ensure_ascii=False, allow_nan=False)
