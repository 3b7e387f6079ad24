"""stdout and stderr of the Flow kernel: ipykernel's stream, several times as fast.

Used by the application of `shell.kernel` as its `outstream_class`; workers have a descendant of it
(`shell.worker.streams`).

What differs from ipykernel's: a write is an append (no `frozenset` of the parent's header each
time); text waits 2 to 25 ms and not 200; `flush` sends by itself and waits for no other thread, and
returns at once when there is nothing, as six times in each cell; both streams keep the order in
which they were written; a fork does not say again what its parent has not sent yet.

Proven for ipykernel 7.0 to 7.4: `write`, `flush`, `_flush` and `_watch_pipe_fd` are overridden, the
rest is stock.
"""

import inspect
import os
from typing import TYPE_CHECKING, Any, Final

from ipykernel.iostream import OutStream

from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.channels.sendable import sendable
from flow_kernel.shell.streams.captured_fd import CapturedFd
from flow_kernel.shell.streams.unsent_output import MOST_CHARS, Unsent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

globals()["__builtins__"] = FROZEN_BUILTINS

_getpid: Final = os.getpid
_SHARED: Final = "_flow_unsent"


class FlowOutStream(CapturedFd, OutStream):  # type: ignore[misc]  # ipykernel has no types
    """OutStream that keeps what it is told until it is sent, and not longer."""

    def __init__(self, session: Any, pub_thread: Any, name: str, **options: Any) -> None:
        # The thread that reads the descriptor writes as soon as it is there.
        self.unsent: Unsent = _of(pub_thread)
        """What was written and not sent, with that of the other stream."""
        self.hearers: list[Callable[[str], None]] = []
        """Told the text of each message."""
        self.mirror: Callable[[str], None] | None = None
        """Told each text before it is taken."""
        super().__init__(session, pub_thread, name, **options)

    @property
    def has_unsent(self) -> bool:
        """Text waits to be sent."""
        return not self.unsent.is_empty

    @property
    def locks(self) -> tuple[Any, Any]:
        """Who has one of them must wait for nobody who has to send."""
        return self.unsent.order, self.unsent.lock

    def write(self, string: str) -> int:
        """Take `string`; it is sent within 25 ms.

        Returns:
            How many characters were taken: all.

        Raises:
            TypeError: It is no text.
            ValueError: The stream is closed.
        """
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if self.echo is not None:
            self._echo(string)
        if self.pub_thread is None:
            raise ValueError("I/O operation on closed file")
        parent = self._parent_header.get(None)
        if parent is None:  # a thread of the user's: the cell that began last
            parent = self._parent_header_global
        unsent, length = self.unsent, len(string)
        if (mirror := self.mirror) is not None:
            mirror(string)
        with unsent.lock:
            part = unsent.last
            if part is None or part.stream is not self or part.parent is not parent:
                part = unsent.switch(self, parent)
            part.texts.append(string)
            unsent.chars += length
        if not unsent.is_calm:
            unsent.attend(part, string)
        if unsent.chars > MOST_CHARS:
            self._make_room()
        return length

    def _make_room(self) -> None:
        """More is held back than should be: send it, and let clients take some of it."""
        self.unsent.flush()
        in_flight = getattr(self.pub_thread, "in_flight", None)
        if in_flight is not None and not self.unsent.is_child:
            in_flight.wait()

    def flush(self) -> None:
        """Send what was written by now, before whatever is sent next."""
        self.unsent.flush()
        if self.echo is not None:
            self._flush_echo()

    def _flush(self) -> None:
        self.unsent.flush()

    def publish(self, parent: Any, text: str) -> None:
        """Send `text` as output of the request with the header `parent`."""
        if not text or self.pub_thread is None:
            return
        for tell in self.hearers:
            tell(text)
        session = self.session
        session.pid = _getpid()  # a fork sends through its parent, see `IOPubThread`
        content = {"name": self.name, "text": sendable(text)}
        message = session.msg("stream", content, parent=parent)
        for hook in self._hooks:
            message = hook(message)
            if message is None:
                return
        session.send(self.pub_thread, message, ident=self.ident(message["content"]))

    def ident(self, content: "Mapping[str, Any]") -> Any:
        """What a message with that content is sent under."""
        return self.topic

    def close(self) -> None:
        """Send what waits, then close as ipykernel does."""
        if self.pub_thread is not None:
            self.unsent.flush()
        super().close()

    def _echo(self, string: str) -> None:
        try:
            self.echo.write(string)
        except OSError:  # where the kernel was started is gone; clients are told all the same
            pass

    def _flush_echo(self) -> None:
        try:
            self.echo.flush()
        except OSError:
            pass


# Libraries look at the name of the stream's class to know that they are in a notebook.
FlowOutStream.__name__ = FlowOutStream.__qualname__ = OutStream.__name__
FlowOutStream.__module__ = OutStream.__module__


def _of(publisher: Any) -> Unsent:
    """What the streams of a publisher share."""
    found = getattr(publisher, _SHARED, None)
    if found is None:
        found = Unsent(publisher)
        setattr(publisher, _SHARED, found)
    return found


def is_usable() -> bool:
    """True where ipykernel's stream is the one that ours was written for."""
    methods = ("write", "flush", "_flush", "close", "_watch_pipe_fd")
    made_with = ["self", "session", "pub_thread", "name", "pipe", "echo", "watchfd", "isatty"]
    try:
        return [*inspect.signature(OutStream.__init__).parameters] == made_with and all(
            callable(getattr(OutStream, name, None)) for name in methods
        )
    except (AttributeError, TypeError, ValueError):
        return False
