"""The way of events to the client, and what keeps printed text from looking like one.

Built by `shell.attach` in the Flow kernel and in a stock ipykernel, where every message of a stream
goes through `MessageTap`.

Both work in the order in which messages leave: a line of ours is sent after what the cell has
printed before it, and the guard looks at each message of a stream as it is sent,
so it does not matter how the text came there (print, descriptors, subprocesses, threads).
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Final

from flow_kernel.records.event_escape import Escaper
from flow_kernel.records.frozen import FROZEN_BUILTINS
from flow_kernel.shell.channels.iopub import in_turn
from flow_kernel.shell.taps.message_tap import MessageTap

globals()["__builtins__"] = FROZEN_BUILTINS

_PATIENCE_S: Final = 2.0
_getpid: Final = os.getpid


class EventOutlet:
    """Sends event lines on stdout of the running cell of `kernel`.

    Args:
        kernel: Of ipykernel.
        tap: Its messages.
        guard: Stands around what runs in other threads.
    """

    def __init__(self, kernel: Any, tap: MessageTap, guard: Callable[..., Any]) -> None:
        self._kernel = kernel
        self._tap = tap
        self._guard = guard
        self._pid = _getpid()
        self._lock = threading.Lock()
        self._escaper = Escaper()

    def begin(self) -> None:
        """Escape printed text that looks like an event, from now on."""
        # What the running cell has printed so far was sent unseen.
        running = _id_of(self._parent())
        if running:
            self._escaper.doubt(running)
        self._tap.escape = self._escaped

    def end(self) -> None:
        """Leave printed text alone."""
        self._tap.escape = None

    def put(self, line: str) -> None:
        """Send `line` after what was printed before it and before what comes next.

        In stock ipykernel it waits for the IOPub thread, a tenth of a millisecond as a rule.
        """
        parent, thread = self._parent(), self._kernel.iopub_thread
        sent = threading.Event()

        def send() -> None:
            self._guard(self._send, line, parent)
            sent.set()

        in_turn(thread, send)
        sent.wait(_PATIENCE_S)

    def _parent(self) -> dict[str, Any]:
        # The kernel's own: that of the stream stands still while a cell has replaced `sys.stdout`.
        return self._kernel.get_parent("shell").get("header") or {}

    def _send(self, line: str, parent: dict[str, Any]) -> None:
        kernel = self._kernel
        for stream in (kernel._stdout, kernel._stderr):
            if not stream.closed:
                stream._flush()
        with self._lock:
            text = self._escaper.line(_id_of(parent)) + line
        # Past our own tap: what we say is no output of the cell.
        type(kernel.session).send(
            kernel.session,
            kernel.iopub_socket,
            "stream",
            {"name": "stdout", "text": text},
            parent=parent,
            ident=b"stream.stdout",
        )

    def _escaped(self, cell: str, stream: str, text: str) -> str:
        if _getpid() != self._pid:
            return text  # a forked child; its parent looks at what it sends
        with self._lock:
            return self._escaper.text(cell, stream, text)


def _id_of(header: dict[str, Any]) -> str:
    return str(header.get("msg_id", ""))
