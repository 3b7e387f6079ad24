"""Where what workers say goes: to the stream of their task, and into its record.

Made by `engine`; called in the thread of the pool's relay, and never waits for a client.
"""

import logging
import os
import re
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.decoders import Decoders

if TYPE_CHECKING:
    from flow_kernel.session.recorder import Recorder
    from flow_kernel.workers.messages import Message
    from flow_kernel.workers.pool import Pool

CHUNK_CHARS: Final = 32 * 1024
"""Longer text comes in several messages."""
_MOST_SHOWN_CHARS: Final = 256 * 1024
"""Of what a cell displays; longer bundles are named, and not sent."""
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_LOG: Final = logging.getLogger(__name__)


class Listener(Protocol):
    """A task, as far as it hears its worker."""

    @property
    def key(self) -> str:
        """What it is recorded under."""

    def said(self, stream: str, text: str, **more: object) -> None:
        """Text for its client."""

    def blocked(self, block: Mapping[str, object]) -> None:
        """Its worker does not go on."""

    def left(self) -> None:
        """It has ended in its worker, which is another one's from now on."""


class SandboxOutlet:
    """The ground of the isolated cells of a server."""

    def __init__(self) -> None:
        self.key: bytes = os.urandom(32).hex().encode()
        self.session_id: str = uuid.uuid4().hex
        self.backlog: Backlog = Backlog()
        self.pool: Pool | None = None
        self.marks: Any = None
        self.recorder: Recorder | None = None
        """Set once there is a session."""
        self._decoders = Decoders()
        self._by_worker: dict[str, Listener] = {}
        self._by_job: dict[str, Listener] = {}

    # -- told by tasks -----------------------------------------------------------------------------

    def begin(self, job_id: str, task: Listener) -> None:
        """A task waits for its worker."""
        self._by_job[job_id] = task

    def listen(self, worker_id: str, task: Listener) -> None:
        """From now on what a worker says is said by that task."""
        self._by_worker[worker_id] = task

    def forget(self, job_id: str) -> None:
        """A task has ended."""
        self._by_job.pop(job_id, None)

    # -- told by the workers -----------------------------------------------------------------------

    def publish(self, worker_id: str, message: "Message") -> None:
        """A message that clients may see."""
        task = self._by_worker.get(worker_id)
        if task is None:
            return
        content = message.content if message.long is None else {}
        match message.kind:
            case "stream" if message.long is not None:
                self._text(task, message.long.name, str(message.long.text))
            case "stream":
                self._text(task, str(content.get("name")), str(content.get("text", "")))
            case "execute_result" | "display_data":
                self._display(task, content, is_result=message.kind == "execute_result")
            case "error":
                self._error(task, content)

    def text(self, worker_id: str, parent: Mapping[str, Any], name: str, data: bytes) -> None:
        """Bytes that native code or a subprocess wrote to stdout or stderr."""
        task = self._by_worker.get(worker_id)
        text = self._decoders.decode(worker_id, name, data)
        if task is not None and text:
            self._text(task, name, text)

    def died(self, worker_id: str) -> None:
        """A worker is gone."""
        self._decoders.forget(worker_id)

    def idle(self, worker_id: str, msg_id: str | None) -> None:
        """A worker is done with a request that is no job: there are none."""

    def has_target(self, worker_id: str, target: str) -> None:
        """A worker has a target of comms: there is no client that could open one."""

    # -- told by the isolated cells ----------------------------------------------------------------

    def say(self, text: str) -> None:
        """A sentence of ours, for whoever reads the log of the server."""
        _LOG.info("flow: %s", text)

    def blocked(self, block: Mapping[str, object]) -> None:
        """A worker does not go on."""
        task = self._by_job.get(str(block.get("job_id")))
        if task is not None:
            task.blocked(block)

    def set_apart(self, worker_id: str, key: str | None) -> None:
        """A cell begins in a worker, or has ended there."""
        task = self._by_worker.pop(worker_id, None) if key is None else None
        if task is not None:
            task.left()

    def let_go(self) -> None:
        """Nothing is held back here."""

    def drop(self) -> None:
        """Nothing is held back here."""

    # -- inside ------------------------------------------------------------------------------------

    def _text(self, task: Listener, name: str, text: str) -> None:
        if self.recorder is not None:
            self.recorder.stream(task.key, name, text)
        for at in range(0, len(text), CHUNK_CHARS):
            task.said(name, text[at : at + CHUNK_CHARS])

    def _display(self, task: Listener, content: Mapping[str, Any], *, is_result: bool) -> None:
        data = content.get("data")
        if not isinstance(data, dict):
            return
        if self.recorder is not None:
            self.recorder.display(task.key, data, is_result=is_result)
        kept = {mime: text for mime, text in data.items() if mime != "text/plain"}
        more: dict[str, object] = {"mimetypes": sorted(map(str, data))}
        with suppress(RecursionError):  # deeper than anybody shows
            if kept and len(str(kept)) <= _MOST_SHOWN_CHARS:
                more["data"] = kept
        text = str(data.get("text/plain", ""))
        first, rest = text[:CHUNK_CHARS], text[CHUNK_CHARS:]
        name = "result" if is_result else "display"
        task.said(name, first, **more)
        for at in range(0, len(rest), CHUNK_CHARS):
            task.said(name, rest[at : at + CHUNK_CHARS])

    def _error(self, task: Listener, content: Mapping[str, Any]) -> None:
        if self.recorder is not None:
            self.recorder.failed(task.key, dict(content))
        lines = content.get("traceback")
        text = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
        text = _ANSI.sub("", text) + "\n"
        for at in range(0, len(text), CHUNK_CHARS):
            task.said("stderr", text[at : at + CHUNK_CHARS])
