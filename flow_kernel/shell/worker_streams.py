"""stdout and stderr of a worker.

Built by `shell.worker_app`. Descriptors 1 and 2 of a worker are pipes that the session reads: what
native code and subprocesses write there needs no capture, and is not lost with the worker.
"""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from flow_kernel.shell.outstream import FlowOutStream
from flow_kernel.shell.worker_credit import Credit
from flow_kernel.workers.backlog import MESSAGE_BYTES
from flow_kernel.workers.last_words import STREAMS, LastWords

_PIECE_CHARS: Final = 1 << 19
_getpid: Final = os.getpid


class _AtOnce:
    """A socket for `Session.send` in the IOPub thread itself."""

    def __init__(self, thread: Any) -> None:
        self._thread = thread

    def send_multipart(self, *args: Any, **kwargs: Any) -> None:
        """Send now."""
        self._thread._really_send(*args, **kwargs)


class WorkerOutStream(FlowOutStream):
    """ipykernel's stream without a watch on descriptors, and with a memory that outlives it."""

    flush_interval: float = 0.01
    last_words: LastWords | None = None
    """Of all streams of the process; set once it has started."""
    credit: Credit | None = None
    """Set with it."""

    def __init__(self, session: Any, pub_thread: Any, name: str, **kwargs: Any) -> None:
        super().__init__(session, pub_thread, name, **{**kwargs, "watchfd": False})
        self._number = STREAMS.index(name)
        self._unsent = 0

    def fileno(self) -> int:
        """The descriptor that subprocesses are given."""
        return self._number + 1

    def flush(self) -> None:
        """Have the IOPub thread send what was written by now.

        ipykernel's waits for it, six times a cell: a quarter of the time of a small one. Nothing
        has to wait, because text that was taken stands in the queue of that thread in its place
        between what is published before and after it, and the session has the last words.
        """
        self._flush()

    def _flush(self) -> None:
        # One step: what another thread takes afterwards stands behind it.
        with self._buffer_lock:
            self._flush_pending = self._subprocess_flush_pending = False
            self._unsent = 0
            buffers = self._rotate_buffers()
            if buffers and self.pub_thread is not None:
                self.pub_thread.schedule(partial(self._send_buffers, buffers))
        if buffers and self.credit is not None and _getpid() == self._master_pid:
            self.credit.spend(MESSAGE_BYTES)

    def _send_buffers(self, buffers: Mapping[Any, Any]) -> None:
        for parent, buffer in buffers.items():
            if text := buffer.getvalue():
                content = {"name": self.name, "text": text}
                message = self.session.msg("stream", content, parent=dict(parent))
                self.session.pid = _getpid()  # a fork sends through its parent, see `IOPubThread`
                self.session.send(_AtOnce(self.pub_thread), message, ident=self.topic)

    def write(self, string: str) -> int:
        """Write as ipykernel does."""
        words = self.last_words
        if words is not None and type(string) is str and _getpid() == self._master_pid:
            data = string.encode("utf-8", "surrogatepass")
            if self.credit is not None:
                self.credit.spend(len(data))
            words.write(self._number, data)
        written: int = super().write(string)
        self._unsent += written or 0
        if self._unsent > _PIECE_CHARS:  # the session passes one piece on while the next is made
            self.flush()
        return written


WorkerOutStream.__name__ = WorkerOutStream.__qualname__ = FlowOutStream.__name__
WorkerOutStream.__module__ = FlowOutStream.__module__
