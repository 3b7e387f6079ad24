"""The client of the WebSocket sandbox of a Jupyter Server.

Called by users as `flow_kernel.sandbox.connect(url, token)`.

    with connect("http://127.0.0.1:8888", token) as sandbox:
        task = sandbox.run("make test", workspace="project", timeout_s=600)
        for message in task:
            print(message.output, end="")
        print(task.wait().exit_code)

A connection that breaks is made anew, and each task goes on with the message that was to come next.
"""

import asyncio
import json
import threading
import uuid
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

from flow_kernel.errors import CellTimeout, FlowError, KernelGone, UsageError

T = TypeVar("T")
_PATH: Final = "/flow/sandbox"
_HELD: Final = 512
"""Messages of a task that nobody has taken; then nothing more is read."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 2.0
_CLOSE_S: Final = 1.0
_MOST_BYTES: Final = 16 << 20
_REFUSED: Final = 400
_LAST: Final = ("task_complete", "task_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of the stream of a task.

    Attributes:
        kind: execution_started, task_output, block_detected, task_complete or task_error.
        seq: In the stream, from 1.
        worker_id: Where the task runs; None where it never did.
        timestamp_ms: Unix, UTC.
        fields: What else it says, as it was sent.
    """

    kind: str
    seq: int
    worker_id: str | None
    timestamp_ms: int
    fields: Mapping[str, Any]

    @property
    def stream(self) -> str:
        """stdout, stderr, result, display, or stdin where the task waits for a line."""
        return str(self.fields.get("stream", ""))

    @property
    def output(self) -> str:
        """Text of `task_output`; empty for others."""
        return str(self.fields.get("output", ""))

    @property
    def is_last(self) -> bool:
        """True for the end of the task."""
        return self.kind in _LAST


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """How a task has ended.

    Attributes:
        exit_code: 0 for success; None where it was ended, or never ran.
        reason: Why it was ended: timeout, terminated, memory_limit, killed, …; else empty.
        message: In a sentence; of an exception its text.
        error: The name of the exception that its code has raised; empty for none.
        text: What it has said since `wait` was called, by stream.
        elapsed_ms: How long it ran.
    """

    exit_code: int | None
    reason: str
    message: str
    error: str
    text: Mapping[str, str]
    elapsed_ms: float

    @property
    def stdout(self) -> str:
        """Of what it has said."""
        return self.text.get("stdout", "")

    @property
    def stderr(self) -> str:
        """Likewise."""
        return self.text.get("stderr", "")


def connect(
    url: str, token: str = "", *, timeout_s: float = 10.0, reconnect_s: float = 30.0
) -> "Sandbox":
    """Connect to the sandbox of a server.

    Args:
        url: Of the server: `http://…` or `ws://…`, with its base path; a `?token=` is taken.
        token: Of the server.
        timeout_s: How long the connection, and an answer, may take.
        reconnect_s: How long a lost connection is tried again.

    Raises:
        KernelGone: No server answers there.
        UsageError: It is no such address, or the server refuses the token.
    """
    return Sandbox(_address(url, token), timeout_s=timeout_s, reconnect_s=reconnect_s)


class SandboxTask:
    """A task of the sandbox: iterate over its messages, or wait for its end.

    Attributes:
        task_id: By which any connection of the same user finds it.
    """

    def __init__(self, sandbox: "Sandbox", task_id: str, order: dict[str, Any], seq: int) -> None:
        self.task_id: str = task_id
        self._sandbox = sandbox
        self._order = order
        self._next = seq
        self._messages: deque[Message] = deque()
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self._end: Message | None = None
        self._error: FlowError | None = None

    @property
    def seq(self) -> int:
        """The number of the message that has not come yet."""
        return self._next

    def __iter__(self) -> Iterator[Message]:
        """The messages, as they come; the last one ends it.

        Raises:
            KernelGone: The server is gone.
            UsageError: It has refused the task.
        """
        while (message := self.next()) is not None:
            yield message

    def next(self, timeout_s: float | None = None) -> Message | None:
        """The next message; None after the last one.

        Raises:
            CellTimeout: It takes longer.
            KernelGone: The server is gone.
            UsageError: It has refused the task.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_news, timeout_s):
                raise CellTimeout(
                    f"no message of {self.task_id} within {timeout_s:g} s",
                    timeout_s=timeout_s or 0.0,
                )
            if not self._messages:
                if self._error is not None:
                    raise self._error
                return None
            message = self._messages.popleft()
            has_room = len(self._messages) == _HELD // 2
        if has_room:
            self._sandbox._soon(self._room.set)
        return message

    def wait(self, timeout_s: float | None = None) -> TaskResult:
        """Take all messages up to the last one.

        Args:
            timeout_s: Longest wait for each of them.
        """
        text: dict[str, list[str]] = {}
        while (message := self.next(timeout_s)) is not None:
            if message.kind == "task_output":
                text.setdefault(message.stream, []).append(message.output)
        end = self._end.fields if self._end is not None else {}
        error = end.get("error") or {}
        return TaskResult(
            exit_code=end.get("exitCode") if not end.get("reason") else None,
            reason=str(end.get("reason", "")),
            message=str(end.get("message") or error.get("message", "")),
            error=str(error.get("name", "")),
            text={name: "".join(parts) for name, parts in text.items()},
            elapsed_ms=float(end.get("elapsedMs", 0.0)),
        )

    def send(self, text: str) -> None:
        """A line for a task that reads."""
        self._sandbox._send({"type": "send_input", "taskId": self.task_id, "input": text})

    def close_input(self) -> None:
        """Nothing more comes: it reads the end of its input."""
        self._sandbox._send({"type": "send_input", "taskId": self.task_id, "eof": True})

    def terminate(self) -> None:
        """End it; its last message says so."""
        self._sandbox._send({"type": "terminate_task", "taskId": self.task_id})

    # -- in the thread of the connection -----------------------------------------------------------

    def _has_news(self) -> bool:
        return bool(self._messages) or self._end is not None or self._error is not None

    async def _take(self, message: Message) -> None:
        if message.seq != self._next:  # of a connection before this one
            return
        while len(self._messages) >= _HELD:
            self._room.clear()
            await self._room.wait()
        with self._changed:
            self._next = message.seq + 1
            self._messages.append(message)
            if message.is_last:
                self._end = message
            self._changed.notify_all()

    def _fail(self, error: FlowError) -> None:
        with self._changed:
            if self._end is None:
                self._error = error
                self._changed.notify_all()


@dataclass(slots=True)
class _State:
    """What both threads of a client look at."""

    tasks: dict[str, SandboxTask] = field(default_factory=dict)
    asked: dict[str, "Future[dict[str, Any]]"] = field(default_factory=dict)
    is_closed: bool = False


class Sandbox:
    """A connection to the sandbox of a server; safe with several threads.

    One connection carries the messages of all its tasks in their order: who does not take those of
    one task for long holds up the others of this connection.
    """

    def __init__(self, request: Any, *, timeout_s: float, reconnect_s: float) -> None:
        self._request = request
        self._timeout_s = timeout_s
        self._reconnect_s = reconnect_s
        self._state = _State()
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
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
            more: `workspace`, `requirements`, `priority`, `worker`: see docs/sandbox.md.
        """
        order = {"type": "execute_command", "timeout": timeout_s * 1000, **more}
        order |= {"command": command} if command else {"code": code}
        order["taskId"] = task_id = task_id or uuid.uuid4().hex
        return self._begin(SandboxTask(self, task_id, order, 1), order)

    def attach(self, task_id: str, *, resume_from: int = 1) -> SandboxTask:
        """Go on with a task that was begun before, over whichever connection.

        Args:
            task_id: It.
            resume_from: The number of the first message that is wanted.
        """
        order = {"type": "execute_command", "taskId": task_id, "resumeFrom": resume_from}
        return self._begin(SandboxTask(self, task_id, order, resume_from), order)

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
        ours = ("type", "taskId", "workerId", "seq", "timestamp", "id")
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

    def _begin(self, task: SandboxTask, order: dict[str, Any]) -> SandboxTask:
        self._state.tasks[task.task_id] = task
        try:
            self._send(order)
        except BaseException:
            self._state.tasks.pop(task.task_id, None)
            raise
        return task

    def _send(self, said: dict[str, Any]) -> None:
        self._wait(self._say(said))

    def _ask(self, said: dict[str, Any], *, answers: bool = True) -> dict[str, Any]:
        asked = uuid.uuid4().hex
        answer: Future[dict[str, Any]] = Future()
        self._state.asked[asked] = answer
        try:
            self._send({**said, "id": asked})
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

    def _soon(self, call: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    # -- inside, in the loop -----------------------------------------------------------------------

    async def _connect(self) -> Any:
        from tornado.httpclient import HTTPClientError  # 60 ms that other users need not pay
        from tornado.websocket import websocket_connect

        try:
            return await websocket_connect(self._request(), max_message_size=_MOST_BYTES)
        except HTTPClientError as error:
            if error.code >= _REFUSED and error.code != 599:
                raise UsageError(
                    f"the server refuses the connection (HTTP {error.code})",
                    hint="is the token right, and is the sandbox enabled there?",
                ) from None
            raise KernelGone(f"no server answers: {error}") from None
        except (OSError, EOFError) as error:
            raise KernelGone(f"no server answers: {error}") from None

    async def _say(self, said: dict[str, Any]) -> None:
        from tornado.websocket import WebSocketClosedError

        until_s = self._loop.time() + self._timeout_s
        while True:
            connection = self._connection
            try:
                if connection is not None:
                    await connection.write_message(json.dumps(said))
                    return
            except WebSocketClosedError:
                pass
            if self._state.is_closed or self._loop.time() > until_s:
                raise KernelGone("the connection to the server is closed")
            await asyncio.sleep(_FIRST_PAUSE_S)  # it is being made anew

    async def _read(self) -> None:
        error: FlowError = KernelGone("the connection to the server is closed")
        try:
            while not self._state.is_closed:
                data = await self._connection.read_message()
                if data is not None:
                    await self._took(json.loads(data))
                elif not self._state.is_closed:
                    self._connection.close()
                    self._connection = None
                    self._connection = await self._connect_again()
                    await self._resume()
        except FlowError as failure:
            error = failure
        finally:
            for task in [*self._state.tasks.values()]:
                task._fail(error)

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
        for task in [*self._state.tasks.values()]:
            said = {"type": "execute_command", "taskId": task.task_id, "resumeFrom": task.seq}
            await self._say(said)

    async def _took(self, said: dict[str, Any]) -> None:
        answer = self._state.asked.get(str(said.get("id")))
        if answer is not None:
            _answer(answer, said)
            return
        task = self._state.tasks.get(str(said.get("taskId")))
        if task is None:
            return
        if said["seq"]:
            await task._take(_message(said))
        elif said["type"] == "task_error":
            if said["reason"] == "not_found" and task.seq == 1 and "resumeFrom" not in task._order:
                await self._say(task._order)  # the connection broke before it had arrived
                return
            if said["reason"] in ("not_running", "busy") and task.seq > 1:
                return  # of an input that came too late
            task._fail(_error_of(said))
        if task._end is not None or task._error is not None:
            self._state.tasks.pop(task.task_id, None)

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


def _message(said: dict[str, Any]) -> Message:
    ours = ("type", "taskId", "workerId", "seq", "timestamp")
    return Message(
        kind=said["type"],
        seq=said["seq"],
        worker_id=said["workerId"],
        timestamp_ms=said["timestamp"],
        fields={key: value for key, value in said.items() if key not in ours},
    )


def _answer(future: "Future[dict[str, Any]]", said: dict[str, Any]) -> None:
    if said["type"] == "task_error":
        future.set_exception(_error_of(said))
    else:
        future.set_result(said)


def _error_of(said: Mapping[str, Any]) -> UsageError:
    return UsageError(f"{said['reason']}: {said['message']}", hint=str(said.get("hint", "")))


def _address(url: str, token: str) -> Any:
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
