"""Sees each message that a kernel publishes, with the request that caused it.

Called by `shell.attach` in the Flow kernel and in a stock ipykernel.

Every stream, display, result and error goes through `Session.send` with its parent header: printed
text and text from captured file descriptors in the IOPub thread, after ipykernel has gathered it
for up to 0.2 s; the rest in the thread that displays. A process that a cell forked pipes whole
frames to the parent, which are read in the IOPub thread. Nothing is parsed twice, nothing waits.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from jupyter_client.session import DELIM

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.records.long_text import LongText
from flow_kernel.shell.channels.sendable import make_sendable

if TYPE_CHECKING:
    from flow_kernel.workers.messages import Message

globals()["__builtins__"] = FROZEN_BUILTINS

_WATCHED: Final = frozenset({"stream", "display_data", "execute_result", "error"})


class Sink(Protocol):
    """What the tap tells; the session's recorder."""

    def stream(self, key: str | None, name: str, text: str | LongText) -> None:
        """Text on stdout or stderr."""

    def display(self, key: str | None, data: dict[str, object], *, is_result: bool) -> None:
        """A MIME bundle."""

    def failed(self, key: str | None, error: dict[str, object]) -> None:
        """A traceback."""


class MessageTap:
    """Stands between a kernel and its session's `send`."""

    def __init__(self, kernel: Any, sink: Sink, guard: Callable[..., Any]) -> None:
        self._session = kernel.session
        self._thread = kernel.iopub_thread
        self._targets = (kernel.iopub_thread, kernel.iopub_socket)
        self._sink = sink
        self._guard = guard
        self._send = kernel.session.send
        self._hear_children: Callable[[], None] | None = getattr(
            kernel.iopub_thread, "hear_children", None
        )
        self.escape: Callable[[str, str, str], str] | None = None
        """What to send in place of a stream's text, by request and stream; None sends it as it is.
        The sink is told the text as it was."""

        self.holds: Callable[[Any], bool] | None = None
        """True for a request whose end somebody else tells, later."""

    def install(self) -> None:
        """Begin to listen."""
        self._session.send = self._observed_send
        self._listen_to_children(self._on_child_frames)

    def remove(self) -> None:
        """Leave the session as it was."""
        if vars(self._session).get("send") == self._observed_send:
            del self._session.send
        self._listen_to_children(self._thread._handle_pipe_msg)

    def pass_by(self, message: "Message", key: str | None = None) -> dict[str, Any] | None:
        """A worker's message is about to be passed on as it is.

        Args:
            message: Which.
            key: Whose the sink is told that it is; None for the request that caused it.

        Returns:
            What to send in place of its content; None for the very frames.
        """
        if message.kind not in _WATCHED:
            return None
        key = key or message.parent_id
        if self.escape is None and (long := message.long) is not None:
            self._guard(self._sink.stream, key, long.name, long.text)
            return None
        content = message.content
        self._guard(self._tell, message.kind, key, content)
        if self.escape is None or message.kind != "stream":
            return None
        changed: dict[str, Any] | None = self._guard(
            self._escaped, content, {"msg_id": message.parent_id}
        )
        return changed

    def _listen_to_children(self, handler: Callable[[Any], None]) -> None:
        if self._hear_children is not None:
            self._thread.on_child = handler
        stream = getattr(self._thread, "_pipe_in", None)
        if stream is not None and self._thread.thread.is_alive():
            # The stream belongs to the IOPub thread: no other may touch it.
            self._thread.schedule(lambda: stream.on_recv(handler))

    def _observed_send(
        self, stream: Any, msg_or_type: Any, content: Any = None, parent: Any = None,
        *args: Any, **kwargs: Any,
    ) -> Any:  # fmt: skip
        if stream is self._targets[0] or stream is self._targets[1]:
            if self._hear_children is not None:  # the sink is told in the order of the messages
                self._hear_children()
            self._guard(self._observe, msg_or_type, content, parent)
            if self.escape is not None:
                sent = self._guard(self._guarded, msg_or_type, content, parent)
                if sent is not None:
                    msg_or_type, content = sent
            is_status = type(msg_or_type) is str and msg_or_type == "status"
            if is_status and self._guard(self._is_held, content, parent):
                return None
        return self._send(stream, msg_or_type, content, parent, *args, **kwargs)

    def _is_held(self, content: Any, parent: Any) -> bool:
        if self.holds is None or content["execution_state"] != "idle":
            return False
        return self.holds(parent)

    def _observe(self, msg_or_type: Any, content: Any, parent: Any) -> None:
        is_named = type(msg_or_type) is str
        kind = msg_or_type if is_named else msg_or_type["header"]["msg_type"]
        if kind not in _WATCHED:
            return
        if not is_named:
            content, parent = msg_or_type["content"], msg_or_type["parent_header"]
        header = (parent or {}).get("header", parent) or {}
        self._tell(kind, header.get("msg_id", ""), content)

    def _guarded(self, msg_or_type: Any, content: Any, parent: Any) -> tuple[Any, Any] | None:
        """The message with its text escaped; None when it stays as it is."""
        is_named = type(msg_or_type) is str
        kind = msg_or_type if is_named else msg_or_type["header"]["msg_type"]
        if kind != "stream":
            return None
        if not is_named:
            content, parent = msg_or_type["content"], msg_or_type["parent_header"]
        content = self._escaped(content, parent)
        if content is None:
            return None
        return (msg_or_type, content) if is_named else ({**msg_or_type, "content": content}, None)

    def _escaped(self, content: Any, parent: Any) -> dict[str, Any] | None:
        header = (parent or {}).get("header", parent) or {}
        escape, text = self.escape, content["text"]
        if escape is None or type(text) is not str:
            return None
        shown = escape(header.get("msg_id", ""), content["name"], text)
        return None if shown is text else {**content, "text": shown}

    def _tell(self, kind: str, key: str, content: dict[str, Any]) -> None:
        make_sendable(content)
        if kind == "stream":
            self._sink.stream(key, content["name"], content["text"])
        elif kind == "error":
            self._sink.failed(key, content)
        else:
            self._sink.display(key, content["data"], is_result=kind == "execute_result")

    def _on_child_frames(self, frames: Any) -> None:
        self._guard(self._observe_child, frames)
        if self.escape is not None:
            frames = self._guard(self._guarded_child, frames) or frames
        self._thread._handle_pipe_msg(frames)

    def _observe_child(self, frames: Any) -> None:
        if frames[0] != self._thread._pipe_uuid:
            return
        _, parts = self._session.feed_identities(frames[1:])
        header, parent, _, content = (self._session.unpack(part) for part in parts[1:5])
        if header["msg_type"] in _WATCHED:
            self._tell(header["msg_type"], parent.get("msg_id", ""), content)

    def _guarded_child(self, frames: Any) -> Any:
        """The frames with the text of a stream escaped; None when they stay as they are."""
        session = self._session
        if frames[0] != self._thread._pipe_uuid:
            return None
        idents, parts = session.feed_identities(frames[1:])
        header, parent, _, content = (session.unpack(part) for part in parts[1:5])
        if header["msg_type"] != "stream":
            return None
        content = self._escaped(content, parent)
        if content is None:
            return None
        signed = [*parts[1:4], session.pack(content)]
        return [frames[0], *idents, DELIM, session.sign(signed), *signed, *parts[5:]]
