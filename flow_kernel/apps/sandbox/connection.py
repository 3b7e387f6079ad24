"""One connection of a client: reads what it wants, and sends it the streams of its tasks.

Made by `server` for each WebSocket; lives in the loop of the server. What is sent is awaited: a
client that reads slowly is sent less, and what waits for it stays where `stream` keeps it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tornado.websocket import WebSocketClosedError

from flow_kernel.apps.sandbox.engine import Engine
from flow_kernel.apps.sandbox.stream import TaskStream
from flow_kernel.apps.sandbox.task import Owner, Task
from flow_kernel.apps.sandbox.wire import (
    Execute,
    GetHealth,
    Input,
    Ping,
    Refused,
    Request,
    Terminate,
    frame,
    read,
)
from flow_kernel.apps.sandbox.workspace import needs_at

_BATCH_BYTES: Final = 256 * 1024
_MOST_STREAMS: Final = 200
"""That one connection hears at a time."""
_MOST_CHARS: Final = 2000
_LOG: Final = logging.getLogger(__name__)


class Connection:
    """See the module.

    Args:
        engine: Has the tasks.
        owner: Who has connected.
        send: Sends a message; done once it has left, and raises once nobody is there.
        connections: How many there are.
    """

    def __init__(
        self,
        engine: Engine,
        owner: Owner,
        send: Callable[[bytes], Awaitable[None]],
        *,
        connections: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._owner = owner
        self._send = send
        self._connections = connections
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._beat = asyncio.create_task(self._beats())

    async def take(self, data: str | bytes) -> None:
        """Do what a message wants; whatever it is, the connection lives on."""
        request: Request | None = None
        try:
            request = read(data)
            await self._do(request)
        except Refused as error:
            known = error.id if request is None else request.id
            task_id = error.task_id or getattr(request, "task_id", "")
            await self._send(_refusal(error.reason, error.message, task_id, known, error.hint))
        except WebSocketClosedError:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary of a message: its client is told
            _LOG.exception("flow: a message to the sandbox could not be followed")
            task_id, known = getattr(request, "task_id", ""), getattr(request, "id", None)
            text = f"{type(error).__name__}: {error}"[:_MOST_CHARS]
            await self._send(_refusal("error", text, task_id, known))

    def close(self) -> None:
        """The client is gone; its tasks are not."""
        self._beat.cancel()
        for stream in self._streams.values():
            stream.cancel()
        self._streams.clear()

    # -- inside ------------------------------------------------------------------------------------

    async def _do(self, request: Request) -> None:
        match request:
            case Execute(resume_from=None):
                self._mind_streams(request.task_id)
                order, place = await asyncio.to_thread(self._placed, request)
                self._follow(self._engine.begin(order, self._owner, place), 1)
            case Execute():
                self._mind_streams(request.task_id)
                task = self._engine.find(request.task_id, self._owner)
                if (first := request.resume_from or 1) > task.stream.last_seq + 1:
                    raise Refused(
                        f"the task has said {task.stream.last_seq} messages, and not"
                        f" {first - 1} yet",
                        task_id=task.task_id,
                    )
                self._follow(task, first)
            case Terminate():
                self._running(request.task_id).terminate()
            case Input():
                self._type(self._running(request.task_id), request)
            case Ping():
                server = self._engine.server_id
                await self._send(frame("pong", None, None, 0, server=server, **_id_of(request)))
            case GetHealth():
                health = await asyncio.to_thread(self._engine.health)
                health["connections"] = self._connections()
                await self._send(frame("health", None, None, 0, **health, **_id_of(request)))

    def _placed(self, order: Execute) -> tuple[Execute, Path]:
        """An order with what is to be promised to it, and where it runs; looks at the disk."""
        place = self._engine.place(order)
        return replace(order, needs=needs_at(place, order.needs)), place

    def _running(self, task_id: str) -> Task:
        task = self._engine.find(task_id, self._owner)
        if task.state == "ended":
            raise Refused("the task has ended", reason="not_running", task_id=task_id)
        return task

    def _type(self, task: Task, request: Input) -> None:
        if not task.type(request.text):
            raise Refused(
                "the task has not read what it was sent before", reason="busy",
                task_id=task.task_id, hint="send a line when it asks for one",
            )  # fmt: skip

    def _mind_streams(self, task_id: str) -> None:
        if len(self._streams) >= _MOST_STREAMS and task_id not in self._streams:
            raise Refused(
                f"this connection hears {_MOST_STREAMS} tasks already; nothing was run",
                reason="busy",
                task_id=task_id,
            )

    def _follow(self, task: Task, seq: int) -> None:
        """Send the stream of a task from a number on, in the place of any that is sent already."""
        before = self._streams.pop(task.task_id, None)
        if before is not None:
            before.cancel()
        following = asyncio.create_task(self._stream(task, seq, before))
        self._streams[task.task_id] = following
        task.stream.followers += 1  # before anybody looks for room
        following.add_done_callback(lambda done: self._followed(task, done))

    def _followed(self, task: Task, done: "asyncio.Task[None]") -> None:
        task.stream.followers -= 1
        if self._streams.get(task.task_id) is done:
            del self._streams[task.task_id]
        if not done.cancelled() and (error := done.exception()) is not None:
            _LOG.warning("flow: a stream of the sandbox has ended: %s", error)

    async def _stream(self, task: Task, seq: int, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait([before])
        stream = task.stream
        while True:
            is_last = stream.has_ended
            try:
                if stream.is_in_memory(seq):
                    frames = stream.read(seq, _BATCH_BYTES)
                else:
                    frames = await asyncio.to_thread(stream.read, seq, _BATCH_BYTES)
            except OSError:
                await self._send(_lost(task.task_id))
                return
            for each in frames:
                await self._send(each)
            seq += len(frames)
            if not frames:
                if is_last:
                    return
                await _news(stream, seq - 1)

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(self._engine.settings.heartbeat_s)
            tasks = [
                {"taskId": task_id, **told}
                for task_id in [*self._streams]
                if (told := self._engine.glance(task_id, self._owner)) is not None
            ]
            await self._send(frame("heartbeat", None, None, 0, tasks=tasks))


async def _news(stream: TaskStream, after: int) -> None:
    """Wait for a message after that number, or an end."""
    loop, more = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(more.set)

    stream.when_more(tell, after)
    try:
        await more.wait()
    finally:  # a quiet task would keep a call for each client that has come and gone
        stream.forget(tell)


def _id_of(request: Request) -> dict[str, Any]:
    return {} if request.id is None else {"id": request.id}


def _lost(task_id: str) -> bytes:
    return _refusal("lost", "what the task has said is not kept any more", task_id, None)


def _refusal(reason: str, message: str, task_id: str, known: str | None, hint: str = "") -> bytes:
    more: dict[str, Any] = {} if known is None else {"id": known}
    return frame(
        "task_error", task_id or None, None, 0,
        reason=reason, message=message, hint=hint, **more,
    )  # fmt: skip
