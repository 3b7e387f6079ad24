"""stdout and stderr of a worker.

Built by `shell.worker_app`. Descriptors 1 and 2 of a worker are pipes that the session reads: what
native code and subprocesses write there needs no capture, and is not lost with the worker.
"""

import os
import threading
from typing import Any, Final

from flow_kernel.shell.outstream import FlowOutStream
from flow_kernel.workers.last_words import STREAMS, LastWords

_getpid: Final = os.getpid
_get_ident: Final = threading.get_ident


class WorkerOutStream(FlowOutStream):
    """ipykernel's stream without a watch on descriptors, and with a memory that outlives it."""

    flush_interval = 0.01
    last_words: LastWords | None = None
    """Of all streams of the process; set once it has started."""

    def __init__(self, session: Any, pub_thread: Any, name: str, **kwargs: Any) -> None:
        super().__init__(session, pub_thread, name, **{**kwargs, "watchfd": False})
        self._number = STREAMS.index(name)

    def fileno(self) -> int:
        """The descriptor that subprocesses are given."""
        return self._number + 1

    def flush(self) -> None:
        """Have the IOPub thread send what there is, before anything that is published later.

        ipykernel's waits for it, six times a cell: that takes a quarter of the time of a small one.
        Here nothing has to wait, because the order is kept and the session has the last words.
        """
        thread = self.pub_thread.thread if self.pub_thread else None
        if thread is None or not thread.is_alive() or thread.ident == _get_ident():
            super().flush()
        elif self._buffers:
            self.pub_thread.schedule(self._flush)

    def write(self, string: str) -> int:
        """Write as ipykernel does."""
        words = self.last_words
        if words is not None and type(string) is str and _getpid() == self._master_pid:
            words.write(self._number, string.encode("utf-8", "surrogatepass"))
        written: int = super().write(string)
        return written


WorkerOutStream.__name__ = WorkerOutStream.__qualname__ = FlowOutStream.__name__
WorkerOutStream.__module__ = FlowOutStream.__module__
