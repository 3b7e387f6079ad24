"""stdout and stderr of a worker.

Built by `shell.worker.app`. Descriptors 1 and 2 of a worker are pipes that the session reads: what
native code and subprocesses write there needs no capture, and is not lost with the worker.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from flow_kernel.shell.streams.outstream import FlowOutStream
from flow_kernel.shell.worker.credit import Credit
from flow_kernel.workers.backlog import MESSAGE_BYTES
from flow_kernel.workers.deposit import Deposit
from flow_kernel.workers.last_words import RING_BYTES, STREAMS, LastWords
from flow_kernel.workers.messages import LONG_CHARS, length_of

_TEXT_ALONE: Final = ["name", "text"]


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _cost(text: str) -> int:
    return MESSAGE_BYTES + _utf8_bytes(text)


class WorkerOutStream(FlowOutStream):
    """The kernel's stream without a watch on descriptors, and with a memory that outlives it."""

    credit: Credit | None = None
    """Of all streams of the process; set once it has started."""

    deposit: Deposit | None = None
    """Where long text is left; set with that memory."""

    def __init__(self, session: Any, pub_thread: Any, name: str, **kwargs: Any) -> None:
        super().__init__(session, pub_thread, name, **{**kwargs, "watchfd": False})
        self._number = STREAMS.index(name)
        self._marked: int | None = None
        """How much was said with the message that is being sent, where that says so."""

    def begin(self, words: LastWords) -> None:
        """Keep from now on what is written in memory that outlives the process."""
        number, unsent, open_segments = self._number, self.unsent, words.open_segments

        def mirrored(text: str) -> None:
            # Calm ends where text is sent, which spends something; a fork never is.
            if not unsent.is_calm:
                credit = self.credit
                if credit is not None and credit.spent >= credit.until:
                    credit.look()
                if unsent.is_child:
                    return
            if len(text) <= RING_BYTES:
                try:
                    open_segments[number].write(text.encode())
                    return
                except ValueError:  # it does not fit, or has a lone surrogate
                    pass
            left_out = len(text) - 2 * RING_BYTES
            if left_out > 0 and text.isascii():
                words.write_end(number, text[left_out:].encode(), left_out)
            else:
                words.write(number, text.encode("utf-8", "surrogatepass"))

        self.mirror: Callable[[str], None] | None = mirrored
        self.deposit = words.deposit

    def _make_room(self) -> None:
        super()._make_room()
        if self.deposit is not None and not self.unsent.is_child:
            self.deposit.wait()

    def fileno(self) -> int:
        """The descriptor that subprocesses are given."""
        return self._number + 1

    def publish(self, parent: Any, text: str) -> None:
        """Send `text`, which the session has to take some time."""
        self._marked = None
        super().publish(parent, text)
        if self.credit is not None and not self.unsent.is_child:
            # Who sends waits for nobody: the next write does.
            self.credit.spent += _cost(text)
            if self._marked is not None:
                self.credit.was_marked(self._marked)

    def ident(self, content: Mapping[str, Any]) -> Any:
        """What a message is sent under; the session need not count a long one."""
        credit = self.credit
        if credit is None or self.unsent.is_child or list(content) != _TEXT_ALONE:
            return self.topic
        text = content["text"]
        if type(text) is not str or len(text) <= LONG_CHARS:
            return self.topic
        self._marked = spent = credit.spent + _cost(text)
        return [self.topic, length_of(len(text), _utf8_bytes(text), spent)]


WorkerOutStream.__name__ = WorkerOutStream.__qualname__ = FlowOutStream.__name__
WorkerOutStream.__module__ = FlowOutStream.__module__
