"""stdout and stderr of a worker.

Built by `shell.worker_app`. Descriptors 1 and 2 of a worker are pipes that the session reads: what
native code and subprocesses write there needs no capture, and is not lost with the worker.
"""

from typing import Any

from flow_kernel.shell.outstream import FlowOutStream
from flow_kernel.shell.worker_credit import Credit
from flow_kernel.workers.backlog import MESSAGE_BYTES
from flow_kernel.workers.last_words import STREAMS, LastWords


class WorkerOutStream(FlowOutStream):
    """The kernel's stream without a watch on descriptors, and with a memory that outlives it."""

    credit: Credit | None = None
    """Of all streams of the process; set once it has started."""

    def __init__(self, session: Any, pub_thread: Any, name: str, **kwargs: Any) -> None:
        super().__init__(session, pub_thread, name, **{**kwargs, "watchfd": False})
        self._number = STREAMS.index(name)

    def begin(self, words: LastWords) -> None:
        """Keep from now on what is written in memory that outlives the process."""
        number, unsent, write = self._number, self.unsent, words.write

        def mirror(text: str) -> None:
            credit = self.credit
            if credit is not None and credit.spent >= credit.until:
                credit.look()
            if not unsent.is_child:
                write(number, text.encode("utf-8", "surrogatepass"))

        self.mirror = mirror

    def fileno(self) -> int:
        """The descriptor that subprocesses are given."""
        return self._number + 1

    def publish(self, parent: Any, text: str) -> None:
        """Send `text`, which the session has to take some time."""
        super().publish(parent, text)
        if self.credit is not None and not self.unsent.is_child:
            # Who sends waits for nobody: the next write does.
            self.credit.spent += MESSAGE_BYTES + len(text.encode("utf-8", "surrogatepass"))


WorkerOutStream.__name__ = WorkerOutStream.__qualname__ = FlowOutStream.__name__
WorkerOutStream.__module__ = FlowOutStream.__module__
