"""stdout and stderr of a worker.

Built by `shell.worker_app`. Descriptors 1 and 2 of a worker are pipes that the session reads: what
native code and subprocesses write there needs no capture, and is not lost with the worker.
"""

import os
from typing import Any, Final

from flow_kernel.shell.outstream import FlowOutStream
from flow_kernel.shell.worker_credit import Credit
from flow_kernel.workers.backlog import MESSAGE_BYTES
from flow_kernel.workers.last_words import STREAMS, LastWords

_PIECE_CHARS: Final = 1 << 19
_getpid: Final = os.getpid


class WorkerOutStream(FlowOutStream):
    """The kernel's stream without a watch on descriptors, and with a memory that outlives it."""

    last_words: LastWords | None = None
    """Of all streams of the process; set once it has started."""
    credit: Credit | None = None
    """Set with it."""

    def __init__(self, session: Any, pub_thread: Any, name: str, **kwargs: Any) -> None:
        super().__init__(session, pub_thread, name, **{**kwargs, "watchfd": False})
        self._number = STREAMS.index(name)

    def fileno(self) -> int:
        """The descriptor that subprocesses are given."""
        return self._number + 1

    def publish(self, parent: Any, text: str) -> None:
        """Send `text`, which the session has to take some time."""
        super().publish(parent, text)
        if self.credit is not None and _getpid() == self._master_pid:
            self.credit.spend(MESSAGE_BYTES)  # who sends waits for nobody: the next write does

    def write(self, string: str) -> int:
        """Write as the kernel's stream does; waits where the session has too much to take."""
        words = self.last_words
        if words is not None and type(string) is str and _getpid() == self._master_pid:
            data = string.encode("utf-8", "surrogatepass")
            if self.credit is not None:
                self.credit.spend(len(data))
            words.write(self._number, data)
        written = super().write(string)
        # The session passes one piece on while the next is made.
        if self.unsent.chars > _PIECE_CHARS:
            self.flush()
        return written


WorkerOutStream.__name__ = WorkerOutStream.__qualname__ = FlowOutStream.__name__
WorkerOutStream.__module__ = FlowOutStream.__module__
