"""A connection to the sandbox of a server, from another program: one thread that speaks and hears.

Built by `flow_kernel.sandbox.connect`. A connection that breaks is made anew.
"""

import asyncio
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from flow_kernel.apps.sandbox import client_wire
from flow_kernel.apps.sandbox.client_task import SandboxTask, message_of
from flow_kernel.apps.sandbox.client_wire import error_of, mind, write
from flow_kernel.errors import FlowError, KernelGone, UsageError

T = TypeVar("T")
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_CLOSE_S: Final = 1.0
_MOST_BYTES: Final = 16 << 20
_REFUSALS: Final = frozenset({401, 403, 404})
"""Of HTTP: it would be refused the next time as well."""


@dataclass(slots=True)
class _State:
    """What both threads of a client look at."""

    tasks: dict[str, SandboxTask] = field(default_factory=dict)
    asked: dict[str, "Future[dict[str, Any]]"] = field(default_factory=dict)
    is_closed: bool = False
    is_lost: bool = False
    """The connection broke, and no other could be had."""


class Sandbox:
    """A connection to the sandbox of a server; safe with several threads.

    One connection carries the messages of all its tasks in their order: who does not take those of
    one task for long holds up the others of this connection.
    """

    def __init__(
        self,
        request: Callable[[], Any],
        *,
        timeout_s: float,
        reconnect_s: float,
        silence_s: float,
    ) -> None:
        self._request = request
        self._timeout_s = timeout_s
        self._reconnect_s = reconnect_s
        self._silence_s = silence_s
        self._state = _State()
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
        self._server: str = ""
        """Which server that is: one that was started anew is another one."""
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="flow-sandbox-client", daemon=True
        )
        self._thread.start()
        try:
            self._connection = self._wait(self._connect())
        except BaseException:
            self.close()
            raise
        self._reading = asyncio.run_coroutine_threadsafe(self._read(), self._loop)

    def run(
        self,
        command: str = "",
        *,
        code: str = "",
        task_id: str = "",
        timeout_s: float = 300.0,
        **more: Any,
    ) -> SandboxTask:
        """Run a command of bash, or a cell of Python.

        Args:
            command: Of bash.
            code: Of Python, in its place.
            task_id: By which any connection of the same user finds it; empty for a random one.
            timeout_s: It may run so long.
            more: `workspace`, `requirements`, `priority`, `worker`: see docs/sandbox.md. None
                leaves one out.

        Raises:
            KernelGone: The server is gone.
            UsageError: No server would take that order.
        """
        more = {name: value for name, value in more.items() if value is not None}
        order = {"type": "execute_command", "timeout": timeout_s * 1000, **more}
        order |= {"command": command} if command else {"code": code}
        order["taskId"] = task_id = task_id or uuid.uuid4().hex
        return self._begin(SandboxTask(self, task_id, order, 1))

    def attach(self, task_id: str, *, resume_from: int = 1) -> SandboxTask:
        """Go on with a task that was begun before, over whichever connection.

        Args:
            task_id: It.
            resume_from: The number of the first message that is wanted.
        """
        first = max(resume_from, 1)
        order = {"type": "execute_command", "taskId": task_id, "resumeFrom": first}
        return self._begin(SandboxTask(self, task_id, order, first))

    def terminate(self, task_id: str) -> None:
        """End a task, whichever connection has begun it."""
        self._ask({"type": "terminate_task", "taskId": task_id}, answers=False)

    def ping(self) -> float:
        """How long an answer takes, in seconds."""
        began_s = self._loop.time()
        self._ask({"type": "ping"})
        return self._loop.time() - began_s

    def health(self) -> dict[str, Any]:
        """How the workers of the server are: ok, workers, queue, memory_bytes, tasks, connections.

        Raises:
            KernelGone: The server does not answer.
        """
        told = self._ask({"type": "getHealth"})
        ours = ("type", "taskId", "workerId", "seq", "timestamp", "id", "server")
        return {key: value for key, value in told.items() if key not in ours}

    def close(self) -> None:
        """Disconnect; tasks go on without a listener. Harmless the second time."""
        if self._state.is_closed:
            return
        self._state.is_closed = True
        with suppress(KernelGone):
            self._wait(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(self._timeout_s)
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- inside, in the thread of the caller -------------------------------------------------------

    def _begin(self, task: SandboxTask) -> SandboxTask:
        mind(task.order)
        before = self._state.tasks.get(task.task_id)
        if before is not None and not task.is_attached:
            raise UsageError(f"exists: this client runs a task {task.task_id} already")
        self._state.tasks[task.task_id] = task
        if before is not None:
            before.fail(UsageError(f"the task {task.task_id} was attached to anew"))
        try:
            self._wait(self._say(task.order, task))
        except BaseException:
            self._state.tasks.pop(task.task_id, None)
            raise
        return task

    def send(self, said: dict[str, Any]) -> None:
        """Send a message as the page of the sandbox describes it.

        Raises:
            KernelGone: The server is gone.
            UsageError: No server would take it.
        """
        mind(said)
        self._wait(self._say(said))

    def _ask(self, said: dict[str, Any], *, answers: bool = True) -> dict[str, Any]:
        asked = uuid.uuid4().hex
        answer: Future[dict[str, Any]] = Future()
        self._state.asked[asked] = answer
        try:
            self.send({**said, "id": asked})
            if not answers:  # a ping behind it: what is refused is refused by then
                self.ping()
                if not answer.done():
                    return {}
            return answer.result(self._timeout_s)
        except FutureTimeout:
            raise KernelGone(f"the server did not answer in {self._timeout_s:g} s") from None
        finally:
            self._state.asked.pop(asked, None)

    def _wait(self, doing: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        try:
            return future.result(self._timeout_s + 1)
        except FutureTimeout:
            future.cancel()
            raise KernelGone(f"the server did not answer in {self._timeout_s:g} s") from None

    def soon(self, call: Callable[[], object]) -> None:
        """Call in the thread of the connection."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    # -- inside, in the loop -----------------------------------------------------------------------

    async def _connect(self) -> Any:
        from tornado.httpclient import HTTPClientError  # 60 ms that other users need not pay
        from tornado.websocket import WebSocketError, websocket_connect

        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await client_wire.opened(
                    websocket_connect(self._request(), max_message_size=_MOST_BYTES)
                )
            self._server = await self._server_of(connection)
        except HTTPClientError as error:
            if error.code in _REFUSALS:
                raise UsageError(
                    f"the server refuses the connection (HTTP {error.code})",
                    hint="is the token right, and is the sandbox enabled there?",
                ) from None
            raise KernelGone(f"no server answers: {error}") from None
        except WebSocketError as error:
            raise UsageError(f"no sandbox answers there: {error}") from None
        except (OSError, EOFError) as error:
            raise KernelGone(f"no server answers: {error}") from None
        return connection

    async def _server_of(self, connection: Any) -> str:
        """Which server has taken a connection."""
        told: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self._timeout_s):
                await write(connection, {"type": "ping"})
                while told.get("type") != "pong":
                    told = client_wire.told(await connection.read_message())
        except BaseException:
            connection.close()
            raise
        return str(told.get("server", ""))

    async def _say(self, said: dict[str, Any], task: SandboxTask | None = None) -> None:
        """Send a message; one that begins a task only to the server that it was sent to before."""
        until_s = self._loop.time() + self._timeout_s
        while True:
            if (connection := self._connection) is not None:
                if task is not None and not task.may_begin_at(self._server):
                    self._let_go(task)
                    return
                if await write(connection, said):
                    if task is not None:
                        task.was_sent = True
                    return
            if self._state.is_closed or self._state.is_lost or self._loop.time() > until_s:
                raise KernelGone("the connection to the server is closed")
            await asyncio.sleep(_FIRST_PAUSE_S)  # it is being made anew

    async def _read(self) -> None:
        error: FlowError = KernelGone("the connection to the server is closed")
        try:
            while not self._state.is_closed:
                data = await client_wire.hear(
                    self._connection, silence_s=self._silence_s, answer_s=self._timeout_s
                )
                if data is not None:
                    await self._took(client_wire.told(data))
                elif not self._state.is_closed:
                    before, self._connection = self._connection, None
                    client_wire.cut(before)
                    self._connection = await self._connect_again()
                    await self._resume()
        except FlowError as failure:
            error = failure
        finally:
            self._state.is_lost = True
            for task in [*self._state.tasks.values()]:
                task.fail(error)
            for answer in [*self._state.asked.values()]:
                if not answer.done():
                    answer.set_exception(error)

    async def _connect_again(self) -> Any:
        until_s, pause_s = self._loop.time() + self._reconnect_s, _FIRST_PAUSE_S
        while True:
            try:
                return await self._connect()
            except KernelGone:
                if self._loop.time() + pause_s > until_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _resume(self) -> None:
        """Ask for what was missed; what waits to be sent is sent by whoever waits."""
        for task in [*self._state.tasks.values()]:
            if task.was_sent and task.is_at(self._server):
                await self._ask_for(task)
            self._let_go(task)

    async def _ask_for(self, task: SandboxTask) -> None:
        said = {"type": "execute_command", "taskId": task.task_id, "resumeFrom": task.seq}
        await write(self._connection, said)  # where it fails, the next connection does it

    async def _took(self, said: dict[str, Any]) -> None:
        answer = self._state.asked.get(str(said.get("id")))
        if answer is not None:
            _answer(answer, said)
            return
        task = self._state.tasks.get(str(said.get("taskId")))
        if task is None:
            return
        if said["seq"]:
            await task.take(message_of(said))
        elif said["type"] == "task_error":
            await self._refused(task, said)
        self._let_go(task)

    async def _refused(self, task: SandboxTask, said: dict[str, Any]) -> None:
        match said["reason"]:
            case "not_found" if task.seq == 1 and not task.is_attached:
                if task.may_begin_at(self._server):  # its connection broke before it had arrived
                    await write(self._connection, task.order)
            case "exists" if task.writes > 1:  # it had arrived after all
                await self._ask_for(task)
            case "not_running" | "busy" if task.seq > 1:
                pass  # of an input that came too late
            case _:
                task.fail(error_of(said))

    def _let_go(self, task: SandboxTask) -> None:
        if task.has_ended and self._state.tasks.get(task.task_id) is task:
            del self._state.tasks[task.task_id]

    async def _end(self) -> None:
        others = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=1)
        connection, self._connection = self._connection, None
        if connection is not None:
            stream = getattr(connection.protocol, "stream", None)
            connection.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    while await connection.read_message() is not None:
                        pass
            if stream is not None:  # where the server does not answer
                stream.close()


def _answer(future: "Future[dict[str, Any]]", said: dict[str, Any]) -> None:
    if said["type"] == "task_error":
        future.set_exception(error_of(said))
    else:
        future.set_result(said)
