"""Where what workers say goes: to the clients of the kernel, and to its recorder.

Built by `shell.opening`; called in the relay's thread. Frames go on as they came, with the worker's
signature, which is the session's: `MCP::` lines alone are changed and signed anew.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import zmq

from flow_kernel.errors import NotFound
from flow_kernel.records.interrupts import NotedInterrupts
from flow_kernel.shell.channels.iopub import in_turn
from flow_kernel.shell.isolated.comms import RoutedComms
from flow_kernel.shell.isolated.interrupts import CallbackInterrupts
from flow_kernel.shell.isolated.requests import PassedOn
from flow_kernel.workers.backlog import Backlog
from flow_kernel.workers.decoders import Decoders
from flow_kernel.workers.messages import Message, read

if TYPE_CHECKING:
    from flow_kernel.shell.isolated.marks import IsolatedMarks
    from flow_kernel.shell.taps.message_tap import MessageTap
    from flow_kernel.workers.pool import Pool

_SOON_S: Final = 0.2
"""The reply of a cell comes right after its error; what goes on for longer is no end."""
_monotonic: Final = time.monotonic


class KernelOutlet:
    """The IOPub channel of a kernel.

    Args:
        kernel: Of ipykernel.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self.backlog: Backlog = Backlog()
        self._decoders = Decoders()
        self._apart: dict[str, str] = {}
        self._held: Message | None = None
        self._held_by = ""
        self._held_s = 0.0
        self._behind: list[Message] = []
        self.marks: IsolatedMarks | None = None
        """Of the shell that it belongs to."""
        self._comms = RoutedComms(kernel, self._forward)
        self.passed_on: PassedOn = PassedOn()
        """What clients have asked of workers."""
        self._interrupts = CallbackInterrupts(kernel, self.passed_on.workers, self._interrupt)
        self.pool: Pool | None = None
        """The workers whose messages these are, once there are any."""
        self.tap: MessageTap | None = None
        """Told what passes by; None where its ground is missing."""

    @property
    def key(self) -> bytes:
        """What clients expect messages to be signed with."""
        key: bytes = self._kernel.session.key
        return key

    @property
    def session_id(self) -> str:
        """What clients know the kernel by, until it is restarted."""
        session_id: str = self._kernel.session.session
        return session_id

    def say(self, text: str) -> None:
        """A sentence of ours, under the cell that runs; no output of it."""
        kernel = self._kernel
        type(kernel.session).send(
            kernel.session,
            kernel.iopub_socket,
            "stream",
            {"name": "stderr", "text": f"flow: {text}\n"},
            parent=kernel.get_parent("shell"),
            ident=b"stream.stderr",
        )

    def publish(self, worker_id: str, message: "Message") -> None:
        """A message that clients may see."""
        if message.kind == "error" and worker_id not in self._apart:
            # The cell raises it again in the session, as a rule: then it is shown there.
            self.let_go()
            self._held, self._held_s, self._held_by = message, _monotonic(), worker_id
            return
        if self._held is not None and worker_id == self._held_by:
            if _monotonic() - self._held_s < _SOON_S:
                self._behind.append(message)  # a thread goes on while the cell ends
                return
            self.let_go()
        if message.kind == "comm_open":
            self._comms.opened(worker_id, message.content)
        elif message.kind == "comm_close":
            self._comms.closed(message.content)
        self._publish(message, self._apart.get(worker_id))

    def blocked(self, block: Mapping[str, object]) -> None:
        """A worker does not go on: here a sentence and an event say so."""

    def set_apart(self, worker_id: str, key: str | None) -> None:
        """Nobody waits for the cell of a worker: its error is shown as it comes."""
        if key is None:
            self._apart.pop(worker_id, None)
        else:
            self._apart[worker_id] = key

    def has_target(self, worker_id: str, target: str) -> None:
        """A worker takes comms that clients open under that name."""
        self._comms.has_target(worker_id, target)

    def died(self, worker_id: str) -> None:
        """A worker is gone: its widgets are told so, or they would look alive."""
        for comm_id in self._comms.of(worker_id):
            self._kernel.session.send(
                self._kernel.iopub_socket, "comm_close", {"comm_id": comm_id, "data": {}}
            )
        self._decoders.forget(worker_id)
        self._say_idle(self.passed_on.done(worker_id))
        self._interrupts.mind()

    def idle(self, worker_id: str, msg_id: str | None) -> None:
        """A worker is done with a request that is no cell; with all of them where none is named."""
        if held := self.passed_on.done(worker_id, msg_id):
            if msg_id is not None and worker_id == self._held_by:
                self.let_go()
            self._say_idle(held)
            self._interrupts.mind()

    def let_go(self) -> None:
        """The error that was held is not what the cell ends with."""
        held, self._held = self._held, None
        if held is not None:
            self._publish(held)
        self.drop()

    def drop(self) -> None:
        """The error that was held is raised in the session."""
        self._held = None
        behind, self._behind = self._behind, []
        for message in behind:
            self._publish(message)

    def text(self, worker_id: str, parent: Mapping[str, Any], name: str, data: bytes) -> None:
        """Bytes that native code or a subprocess wrote to stdout or stderr."""
        text = self._decoders.decode(worker_id, name, data)
        message = read(self._frames({"name": name, "text": text}, parent)) if text else None
        if message is not None:
            self.publish(worker_id, message)  # what is heard right behind an error came before it

    def _frames(self, content: Mapping[str, Any], parent: Mapping[str, Any]) -> Sequence[bytes]:
        """Of a message with the text of a stream."""
        session = self._kernel.session
        message = session.msg("stream", dict(content), parent=dict(parent))
        frames: Sequence[bytes] = session.serialize(
            message, ident=f"stream.{content['name']}".encode()
        )
        return frames

    def _forward(self, worker_id: str, kind: str, message: dict[str, Any]) -> bool:
        """Pass on what a client says to a comm; False where its worker has died."""
        if self.pool is None:
            return False
        with NotedInterrupts() as held:  # between two of these steps it would never end
            try:
                worker = self.pool.find(worker_id)
            except NotFound:
                return False
            self.passed_on.passed_on(worker_id, message["header"]["msg_id"])
            worker.pass_comm(kind, message)
            self._interrupts.mind()
        if held.was_interrupted:
            self._interrupts.stop()
        return True

    def _interrupt(self, worker_id: str) -> None:
        if self.pool is not None:
            with suppress(NotFound):
                self.pool.find(worker_id).interrupt(None)

    def _say_idle(self, requests: Iterable[Any]) -> None:
        kernel = self._kernel
        for request in requests:
            kernel.session.send(
                kernel.iopub_socket,
                "status",
                {"execution_state": "idle"},
                parent=request,
                ident=kernel._topic("status"),
            )

    def _publish(self, message: "Message", key: str | None = None) -> None:
        # What is escaped depends on the text before it: nobody may come between.
        in_turn(self._kernel.iopub_thread, partial(self._publish_now, message, key))

    def _publish_now(self, message: "Message", key: str | None) -> None:
        changed = None if self.tap is None else self.tap.pass_by(message, key)
        frames: list[Any] = list(
            message.frames if changed is None else self._frames(changed, message.parent)
        )
        thread = self._kernel.iopub_thread
        is_watched = self.backlog.add(sum(map(len, frames)))
        if isinstance(thread.socket, zmq.Socket):
            if is_watched or type(frames[-1]) is memoryview:
                last = zmq.Frame(frames[-1], track=is_watched, copy=False, copy_threshold=0)
                frames[-1] = last
            if is_watched:
                self.backlog.watch(partial(getattr, last.tracker, "done"))
        _send(thread, frames)


def _send(thread: Any, frames: list[Any]) -> None:
    """Publish; whoever holds its frame afterwards holds no message."""
    try:
        thread._really_send(frames)
    finally:
        frames.clear()
