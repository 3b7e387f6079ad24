"""Where what workers say goes in terminal IPython: to the terminal.

Built by `shell.opening`; called in the relay's thread.
"""

import os
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.decoders import Decoders

if TYPE_CHECKING:
    from flow_kernel.shell.isolated.marks import IsolatedMarks
    from flow_kernel.workers.messages import Message
    from flow_kernel.workers.pool import Pool

_KEY_BYTES: Final = 32
_NOBODY: Final = "nobody"
"""Whose output is told twice: no cell is recorded under it."""


class TerminalOutlet:
    """The streams of this process."""

    def __init__(self) -> None:
        self.key: bytes = os.urandom(_KEY_BYTES).hex().encode()
        self.session_id: str = uuid.uuid4().hex
        self.backlog: Backlog = Backlog()
        self._apart: dict[str, str] = {}
        self._speaker: tuple[int, str] | None = None
        self._held: Message | None = None
        self._held_by = ""
        self.pool: Pool | None = None
        self.marks: IsolatedMarks | None = None
        """Of the shell that it belongs to."""
        self._decoders = Decoders()

    def say(self, text: str) -> None:
        """A sentence of ours."""
        self._write("stderr", f"flow: {text}\n")

    def publish(self, worker_id: str, message: "Message") -> None:
        """A message that a person may see."""
        if worker_id == self._held_by:
            self.let_go()
        content = message.content
        match message.kind:
            case "error" if worker_id in self._apart:
                with self._speaks(_NOBODY):  # its record has it
                    self._show(message)
            case "error":
                self.let_go()
                self._held, self._held_by = message, worker_id
            case "stream":
                with self._speaks(self._apart.get(worker_id)):
                    self._write(str(content.get("name")), str(content.get("text", "")))
            case "execute_result":
                text = _plain(content)
                joint = "\n" if "\n" in text else ""
                self._write("stdout", f"Out[{content.get('execution_count')}]: {joint}{text}\n")
            case "display_data":
                self._write("stdout", _plain(content) + "\n")

    def blocked(self, block: Mapping[str, object]) -> None:
        """A worker does not go on: here a sentence and an event say so."""

    def set_apart(self, worker_id: str, key: str | None) -> None:
        """Nobody waits for the cell of a worker: its error is shown as it comes."""
        if key is None:
            self._apart.pop(worker_id, None)
        else:
            self._apart[worker_id] = key

    def speaker(self) -> str | None:
        """Whose output this thread writes; None for that of the latest cell."""
        speaker = self._speaker
        return None if speaker is None or speaker[0] != threading.get_ident() else speaker[1]

    @contextmanager
    def _speaks(self, key: str | None) -> Iterator[None]:
        self._speaker = None if key is None else (threading.get_ident(), key)
        try:
            yield
        finally:
            self._speaker = None

    def has_target(self, worker_id: str, target: str) -> None:
        """A worker has a target of comms: there is no client that could open one."""

    def died(self, worker_id: str) -> None:
        """A worker is gone."""
        self._decoders.forget(worker_id)

    def idle(self, worker_id: str, msg_id: str | None) -> None:
        """A worker is done with a request that is no cell."""

    def let_go(self) -> None:
        """The error that was held is not what the cell ends with."""
        held, self._held = self._held, None
        if held is not None:
            self._show(held)

    def drop(self) -> None:
        """The error that was held is raised in the session."""
        self._held = None

    def text(self, worker_id: str, parent: Mapping[str, Any], name: str, data: bytes) -> None:
        """Bytes that native code or a subprocess wrote to stdout or stderr."""
        if worker_id == self._held_by:
            self.let_go()
        with self._speaks(self._apart.get(worker_id)):
            self._write(name, self._decoders.decode(worker_id, name, data))

    def _show(self, error: "Message") -> None:
        lines = error.content.get("traceback") or ()
        self._write("stderr", "\n".join(map(str, lines)) + "\n")

    def _write(self, name: str, text: str) -> None:
        stream = sys.stderr if name == "stderr" else sys.stdout
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed, or replaced by anything
            return


def _plain(content: Mapping[str, Any]) -> str:
    data = content.get("data")
    return str(data.get("text/plain", "")) if isinstance(data, dict) else ""
