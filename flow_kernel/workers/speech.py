"""What a session says to one worker: jobs, requests, comms, answers; in the order it was said.

Made by `worker`. Other threads post to the relay's, which owns the sockets; a job goes past it on a
`line` where there is one, unless something that was said before is still to be sent.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from flow_kernel.errors import UsageError
from flow_kernel.workers.channels import Channels
from flow_kernel.workers.job import Job
from flow_kernel.workers.line import Line
from flow_kernel.workers.messages import Message
from flow_kernel.workers.relay import Relay


class Speech:
    """See the module.

    Args:
        relay: Of the session.
        channels: Of the worker.
        session: Jupyter's, which signs.
        line: To the worker; None where there is none.
        is_busy: Says whether the worker has a job.
    """

    def __init__(
        self,
        relay: Relay,
        channels: Channels,
        session: Any,
        *,
        line: Line | None,
        is_busy: Callable[[], bool],
    ) -> None:
        self._relay = relay
        self._channels = channels
        self._session = session
        self._line = line
        self._is_busy = is_busy
        self._is_over = False
        self._posted: deque[None] = deque()
        """One for each message of the shell channel that waits for the relay's thread."""
        self._said = 0
        """Messages that were sent on the shell channel."""
        self._asked: dict[str, Future[dict[str, Any]]] = {}
        self._subshell: str | None = None
        self._waiting: list[tuple[str, Mapping[str, Any]]] = []

    def frames(self, job: Job) -> list[Any]:
        """Of the message of a job.

        Raises:
            UsageError: It cannot be sent.
        """
        try:
            return [*self._session.serialize(job.message()), *job.buffers]
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the cell cannot be sent to a worker: {error}") from None

    def send(self, frames: Sequence[Any]) -> None:
        """Send a job; not together with `close`."""
        if self._line is None or self._posted or not self._line.send(frames, before=self._said):
            self._post(lambda: self._send(self._channels.shell, frames))

    def say(self, channel: str, kind: str, content: Mapping[str, Any], **more: Any) -> None:
        """Send another message, on `shell`, `control` or `stdin`; in any thread."""

        def say() -> None:
            self._say(getattr(self._channels, channel), kind, content, **more)

        if channel == "shell":
            self._post(say)
        else:
            self._relay.post(say)

    def ask(self, kind: str, content: Mapping[str, Any]) -> "Future[dict[str, Any]]":
        """Send a request that is no cell, such as one for completions; in any thread.

        Returns:
            Gets the content of the reply; never done where there is none.
        """
        asked: Future[dict[str, Any]] = Future()

        def send() -> None:
            header = self._session.msg_header(kind)
            self._asked[header["msg_id"]] = asked
            self._say(self._channels.shell, kind, content, header=header)

        self._post(send)
        return asked

    def pass_comm(self, kind: str, message: Mapping[str, Any]) -> None:
        """Pass on what a client says to a comm; in any thread.

        While a cell is busy it is heard in a subshell, if it came over one; else after the cell.
        """
        self._post(lambda: self._pass_comm(kind, message))

    # -- in the relay's thread ---------------------------------------------------------------------

    def answered(self, message: Message) -> None:
        """A reply came on the shell channel."""
        asked = self._asked.pop(message.parent_id, None)
        if asked is not None and asked.set_running_or_notify_cancel():
            asked.set_result(message.content)

    def on_control(self, message: Message) -> None:
        """A reply came on the control channel."""
        if message.kind == "create_subshell_reply":
            found = message.content.get("subshell_id")
            self._subshell = found if isinstance(found, str) else ""
            waiting, self._waiting = self._waiting, []
            for kind, each in waiting:
                self._pass_comm(kind, each)

    def close(self) -> None:
        """The worker is gone: what is said from now on is lost."""
        self._is_over = True
        if self._line is not None:
            self._line.close()

    # -- inside ------------------------------------------------------------------------------------

    def _post(self, call: Callable[[], None]) -> None:
        """Have the relay's thread say something on the shell channel."""

        def say() -> None:
            try:
                call()
            finally:
                self._posted.popleft()

        self._posted.append(None)
        self._relay.post(say)

    def _send(self, socket: Any, frames: Sequence[Any]) -> None:
        if self._is_over:  # its sockets are closed
            return
        socket.send_multipart(frames)
        if socket is self._channels.shell:
            self._said += 1

    def _say(
        self, socket: Any, kind: str, content: Mapping[str, Any], *, header: Any = None,
        metadata: Any = None, buffers: Sequence[Any] = (),
    ) -> None:  # fmt: skip
        message = self._session.msg(kind, dict(content), header=header, metadata=metadata)
        self._send(socket, [*self._session.serialize(message), *buffers])

    def _pass_comm(self, kind: str, message: Mapping[str, Any]) -> None:
        header = dict(message["header"])
        is_concurrent = header.pop("subshell_id", None) is not None and self._is_busy()
        if is_concurrent and self._subshell is None:
            if not self._waiting:
                self._say(self._channels.control, "create_subshell_request", {})
            self._waiting.append((kind, message))
            return
        if is_concurrent and self._subshell:
            header["subshell_id"] = self._subshell
        self._say(
            self._channels.shell, kind, message["content"], header=header,
            metadata=message.get("metadata"), buffers=message.get("buffers") or (),
        )  # fmt: skip
