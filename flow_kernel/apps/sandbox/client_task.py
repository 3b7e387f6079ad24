"""A task of the sandbox as its client has it: messages that come, lines that go, its end.

Made by `client`, which puts in what it hears; used by whoever has begun the task.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from flow_kernel.errors import CellTimeout, FlowError, KernelGone

_HELD: Final = 512
"""Messages of a task that nobody has taken; then nothing more is read."""
_LAST: Final = ("task_complete", "task_error")


class Line(Protocol):
    """A connection, as far as tasks need it."""

    def send(self, said: dict[str, Any]) -> None:
        """Send a message."""

    def soon(self, call: Callable[[], object]) -> None:
        """Call in the thread of the connection."""


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


def message_of(said: Mapping[str, Any]) -> Message:
    """A message, from what was heard."""
    ours = ("type", "taskId", "workerId", "seq", "timestamp")
    return Message(
        kind=said["type"],
        seq=said["seq"],
        worker_id=said["workerId"],
        timestamp_ms=said["timestamp"],
        fields={key: value for key, value in said.items() if key not in ours},
    )


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


class SandboxTask:
    """A task of the sandbox: iterate over its messages, or wait for its end.

    Attributes:
        task_id: By which any connection of the same user finds it.
        order: What was sent for it.
        end: Its last message, once it is here.
        error: Why nothing more comes; None while that is not so.
        was_sent: True once its order has left.
        writes: How often that was tried: an order whose connection broke may have arrived.
    """

    def __init__(self, line: Line, task_id: str, order: dict[str, Any], seq: int) -> None:
        self.task_id: str = task_id
        self._line = line
        self.order: dict[str, Any] = order
        self._next = seq
        self._messages: deque[Message] = deque()
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self.end: Message | None = None
        self.error: FlowError | None = None
        self.was_sent: bool = False
        self.writes: int = 0
        self._server = ""

    @property
    def is_attached(self) -> bool:
        """True where its order runs nothing."""
        return "resumeFrom" in self.order

    @property
    def has_ended(self) -> bool:
        """True when nothing more will come."""
        return self.end is not None or self.error is not None

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
                if self.error is not None:
                    raise self.error
                return None
            message = self._messages.popleft()
            has_room = len(self._messages) == _HELD // 2
        if has_room:
            self._line.soon(self._room.set)
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
        end = self.end.fields if self.end is not None else {}
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
        self._line.send({"type": "send_input", "taskId": self.task_id, "input": text})

    def close_input(self) -> None:
        """Nothing more comes: it reads the end of its input."""
        self._line.send({"type": "send_input", "taskId": self.task_id, "eof": True})

    def terminate(self) -> None:
        """End it; its last message says so."""
        self._line.send({"type": "terminate_task", "taskId": self.task_id})

    # -- in the thread of the connection -----------------------------------------------------------

    def _has_news(self) -> bool:
        return bool(self._messages) or self.has_ended

    def is_at(self, server: str) -> bool:
        """True where a server may know it; else it is lost, and whoever waits is told."""
        if self.writes and server != self._server:
            self.fail(
                KernelGone(
                    f"lost: the server was started anew; what became of the task {self.task_id}"
                    " is not known, and it was not run again"
                )
            )
            return False
        return True

    def may_begin_at(self, server: str) -> bool:
        """True where its order may be sent to a server, which is about to be done."""
        if not self.is_at(server):
            return False
        self._server = server
        self.writes += 1
        return True

    async def take(self, message: Message) -> None:
        """The next message; waits while there are too many that nobody has taken."""
        if message.seq != self._next:  # of a connection before this one
            return
        while len(self._messages) >= _HELD:
            self._room.clear()
            await self._room.wait()
        with self._changed:
            self._next = message.seq + 1
            self._messages.append(message)
            if message.is_last:
                self.end = message
            self._changed.notify_all()

    def fail(self, error: FlowError) -> None:
        """Nothing more will come."""
        with self._changed:
            if self.end is None:
                self.error = error
                self._changed.notify_all()
